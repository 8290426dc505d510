import pytest
import typer

from editar_cli import images, options
from editar_cli.errors import UsageError


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
