import pytest
import typer

from editar_cli import images, options
from editar_cli.errors import UsageError
from tests.lora_files import tiny_lora_layers, write_lora


def test_every_format_that_can_be_asked_for_can_be_written():
    for format in options.Format:
        if format is not options.Format.AUTO:
            assert f".{format.value}" in images.FORMATS


def test_no_two_options_share_a_flag():
    flags = []
    for name, value in vars(options).items():
        if name.endswith("Option"):
            (option,) = (item for item in value.__metadata__)
            assert isinstance(option, type(typer.Option()))
            flags += option.param_decls
    assert len(flags) == len(set(flags))


def test_a_batch_size_is_auto_or_a_number_from_one():
    assert options.parse_batch_size("auto") is None
    assert options.parse_batch_size("12") == 12
    for wrong in ("0", "-1", "two", ""):
        with pytest.raises(UsageError, match="--batch-size"):
            options.parse_batch_size(wrong)


def test_overwrite_is_short_for_on_exists_overwrite():
    both = {"overwrite": True, "on_exists": options.OnExists.OVERWRITE}
    assert options.OutputOptions().rule is options.OnExists.SKIP
    assert options.OutputOptions(on_exists=options.OnExists.ERROR).rule is options.OnExists.ERROR
    assert options.OutputOptions(overwrite=True).rule is options.OnExists.OVERWRITE
    assert options.OutputOptions(**both).rule is options.OnExists.OVERWRITE
    with pytest.raises(UsageError, match="--overwrite and --on-exists skip"):
        options.OutputOptions(overwrite=True, on_exists=options.OnExists.SKIP)


def test_values_out_of_range_are_refused_before_a_model_loads():
    assert options.SamplingOptions(guidance=2.0).given == {"guidance": 2.0}
    with pytest.raises(UsageError, match="--top-p 2"):
        options.SamplingOptions(top_p=2.0)
    with pytest.raises(UsageError, match="--batch-size zero"):
        options.ModelOptions(batch_size="zero")


def test_what_an_adapter_holds_is_a_setting(tmp_path):
    assert options.ModelOptions().settings == {}
    lora = write_lora(tmp_path / "look")
    settings = [options.ModelOptions(lora=[text]).settings for text in (f"{lora}", f"{lora}:0.5")]
    write_lora(tmp_path / "look", tiny_lora_layers(seed=1))
    settings.append(options.ModelOptions(lora=[f"{lora}"]).settings)
    assert [len(one["lora"]) for one in settings] == [1, 1, 1]
    assert len({one["lora"][0] for one in settings}) == 3
    with pytest.raises(UsageError, match="--lora nowhere: no such folder"):
        options.ModelOptions(lora=["nowhere"])


def test_fail_fast_is_short_for_one_failure():
    assert options.RunOptions().most_failures is None
    assert options.RunOptions(max_failures=3).most_failures == 3
    assert options.RunOptions(fail_fast=True, max_failures=3).most_failures == 1
