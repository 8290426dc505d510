import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from editar_cli.checkpoints import native
from editar_cli.checkpoints.native import (
    BundleConfig,
    TextConfig,
    check_sums,
    load_bundle,
    read_config,
    save_bundle,
    verify_bundle,
)
from editar_cli.errors import CheckpointError
from editar_cli.models.vq import VQConfig
from editar_cli.modes import load_mode
from tests.bundle_files import tiny_config, tiny_modules, write_tiny_bundle


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture
def bundle(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


def test_what_was_saved_is_loaded(saved: Path) -> None:
    loaded = load_bundle(saved)
    transformer, tokenizer = tiny_modules(loaded.config)
    assert loaded.config == tiny_config() and loaded.path == saved
    for module, original in ((loaded.transformer, transformer), (loaded.tokenizer, tokenizer)):
        state, expected = module.state_dict(), original.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in state)
        assert not any(value.is_meta for value in module.buffers())
        assert not module.training
        assert not any(value.requires_grad for value in module.parameters())


def test_a_loaded_transformer_computes_what_the_saved_one_did(saved: Path) -> None:
    loaded = load_bundle(saved)
    original = tiny_modules(loaded.config)[0].eval()
    codes = torch.randint(0, 32, (2, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = [
            model.logits(model.hidden(model.embed_codes(codes), model.turns[:16]))
            for model in (loaded.transformer, original)
        ]
    assert torch.equal(*logits)


def test_half_precision_on_disk_is_float32_when_loaded_so(tmp_path: Path) -> None:
    transformer, tokenizer = write_tiny_bundle(
        tmp_path / "half", dtype=torch.bfloat16, tokenizer_dtype=torch.float16
    )
    stored = load_file(tmp_path / "half" / "transformer.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.bfloat16}
    loaded = load_bundle(tmp_path / "half", dtype=torch.float32)
    for module, original, dtype in (
        (loaded.transformer, transformer, torch.bfloat16),
        (loaded.tokenizer, tokenizer, torch.float16),
    ):
        for name, value in module.state_dict().items():
            assert value.dtype == torch.float32
            assert torch.equal(value, original.state_dict()[name].to(dtype).float())


def test_the_tokenizer_stays_float32_whatever_the_transformer_runs_in(saved: Path) -> None:
    loaded = load_bundle(saved, dtype=torch.bfloat16)
    assert {value.dtype for value in loaded.transformer.parameters()} == {torch.bfloat16}
    assert {value.dtype for value in loaded.tokenizer.parameters()} == {torch.float32}


def test_the_text_encoder_is_loaded_when_first_used(saved: Path) -> None:
    loaded = load_bundle(saved)
    assert "text_encoder" not in vars(loaded)
    assert loaded.text_encoder.encode(["make it snowy"]).shape == (1, 6, 32)
    assert loaded.text_encoder is loaded.text_encoder


def test_a_text_encoder_of_another_width_is_refused(bundle: Path) -> None:
    edit_config(bundle, lambda raw: raw["transformer"].update(text_dim=31))
    state = load_file(bundle / "transformer.safetensors")
    state["null_text"] = torch.zeros(6, 31)
    state["text_projection.fc1.weight"] = torch.zeros(16, 31)
    save_file(state, bundle / "transformer.safetensors")
    with pytest.raises(CheckpointError, match="vectors of 32 numbers, the transformer takes 31"):
        _ = load_bundle(bundle).text_encoder


def test_json_there_and_back(tmp_path: Path) -> None:
    config = tiny_config()
    assert BundleConfig.from_json(config.to_json(), tmp_path) == config
    assert json.loads(config.to_json())["format"] == 1


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    raw = json.loads((folder / "config.json").read_text())
    change(raw)
    (folder / "config.json").write_text(json.dumps(raw))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw.update(size=3), "unknown keys: size"),
        (lambda raw: raw["transformer"].update(width=3), r"unknown keys: transformer\.width"),
        (lambda raw: raw["text"].pop("kind"), r"missing keys: text\.kind"),
        (lambda raw: raw.pop("image_size"), "missing keys: image_size"),
        (lambda raw: raw["transformer"].update(n_layer="2"), r'transformer\.n_layer is "2"'),
        (lambda raw: raw["transformer"].update(n_layer=True), r"transformer\.n_layer is true"),
        (lambda raw: raw["transformer"].update(n_layer=None), r"transformer\.n_layer is null"),
        (lambda raw: raw.update(text="text"), "text must be a JSON object"),
        (lambda raw: raw["tokenizer"].update(channel_multipliers=[1, "2"]), "channel_multipliers"),
        (lambda raw: raw["text"].update(kind="clip"), "text.kind clip: must be one of minilm, t5"),
        (lambda raw: raw.update(extractors={"canny": "opencv"}), "extractors.canny opencv: must"),
        (lambda raw: raw.update(extractors={"canny": []}), "extractors.canny .*must be a list of"),
        (lambda raw: raw.update(extractors={"canny": [1]}), "extractors.canny .*must be a list of"),
        (lambda raw: raw.update(extractors=["opencv"]), "extractors is"),
        (lambda raw: raw.update(fit="squeeze"), "fit squeeze: must be one of"),
        (lambda raw: raw.update(image_size=16), "image_size 16: .* makes 8"),
        (lambda raw: raw["text"].update(text_tokens=7), "text_tokens 7: the transformer has 6"),
        (lambda raw: raw["tokenizer"].update(codebook_size=31), "the transformer knows 32 codes"),
        (lambda raw: raw["sampling"].update(guidance=-1), "--guidance -1"),
        (lambda raw: raw.update(format=2), "format 2, this version of editar reads 1"),
        (lambda raw: raw.pop("format"), "format None"),
    ],
)
def test_a_wrong_config_says_file_and_key(
    bundle: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    edit_config(bundle, change)
    with pytest.raises(CheckpointError, match=said) as raised:
        load_bundle(bundle)
    assert str(raised.value).startswith(str(bundle / "config.json"))


def test_a_bundle_says_which_extractors_suit_it_in_its_order(bundle: Path) -> None:
    suited = {"depth": ["dpt", "small"], "canny": ["opencv"], "hed": ["hed"]}
    edit_config(bundle, lambda raw: raw.update(extractors=suited))
    config = read_config(bundle)
    assert config.extractors == suited
    assert BundleConfig.from_json(config.to_json(), bundle) == config


def test_a_bundle_that_does_not_say_has_those_of_the_published_models(bundle: Path) -> None:
    edit_config(bundle, lambda raw: raw.pop("extractors"))
    config = read_config(bundle)
    assert config.extractors == {
        "canny": ["kornia"],
        "depth": ["dpt"],
        "segmentation": ["maskformer"],
    }
    for mode, names in config.extractors.items():
        assert set(names) <= load_mode(mode).extractors.keys()


def test_whole_numbers_are_read_as_floats_where_floats_are_meant(bundle: Path) -> None:
    edit_config(bundle, lambda raw: raw["sampling"].update(guidance=4))
    guidance = read_config(bundle).sampling.guidance
    assert guidance == 4.0 and isinstance(guidance, float)


def test_missing_things_are_named(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such folder"):
        load_bundle(tmp_path / "nowhere")
    (bundle / "tokenizer.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.safetensors: no such file"):
        load_bundle(bundle)
    (bundle / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: not JSON"):
        load_bundle(bundle)
    (bundle / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        load_bundle(bundle)


def test_foreign_weights_are_refused_by_name_and_shape(bundle: Path) -> None:
    file = bundle / "transformer.safetensors"
    state = load_file(file)
    removed = state.pop("blocks.1.mlp.down.weight")
    state["blocks.2.mlp.down.weight"] = removed
    state["norm.weight"] = torch.ones(17)
    save_file(state, file)
    for check in (load_bundle, verify_bundle):
        with pytest.raises(CheckpointError) as raised:
            check(bundle)
        message = str(raised.value)
        assert message.startswith(str(file))
        assert "missing: blocks.1.mlp.down.weight" in message
        assert "unexpected: blocks.2.mlp.down.weight" in message
        assert "norm.weight is (17,), expected (16,)" in message


def test_sha256_of_every_file_is_recorded_as_sha256sum_does(saved: Path) -> None:
    lines = (saved / "SHA256SUMS").read_text().splitlines()
    recorded = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = {
        str(f.relative_to(saved)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in saved.rglob("*")
        if f.is_file() and f.name != "SHA256SUMS"
    }
    assert recorded == files and "text/model.safetensors" in files
    if shutil.which("sha256sum"):
        subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=saved, check=True, capture_output=True
        )


def test_verify_finds_one_flipped_bit(bundle: Path) -> None:
    assert verify_bundle(bundle) == 6
    file = bundle / "tokenizer.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.safetensors: its sha256"):
        verify_bundle(bundle)


def test_verify_finds_missing_files_and_damaged_records(bundle: Path) -> None:
    (bundle / "text" / "tokenizer.json").rename(bundle / "other")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: no such file"):
        verify_bundle(bundle)
    (bundle / "SHA256SUMS").write_text("nonsense\n")
    with pytest.raises(CheckpointError, match="not a list of sha256 sums"):
        check_sums(bundle)
    (bundle / "SHA256SUMS").unlink()
    assert check_sums(bundle) == 0


def resave(folder: Path, **changes: Any) -> None:
    config = replace(tiny_config(), **changes)
    transformer, tokenizer = tiny_modules(tiny_config())
    save_bundle(
        folder,
        config=config,
        transformer=transformer,
        tokenizer=tokenizer,
        text_folder=folder / "text",
    )


def test_saving_again_replaces_the_bundle_and_keeps_what_others_put_there(bundle: Path) -> None:
    (bundle / "MODEL_CARD.md").write_text("card")
    (bundle / "sheets").mkdir()
    (bundle / "sheets" / "1.png").write_text("picture")
    resave(bundle, name="second")
    assert load_bundle(bundle).config.name == "second"
    assert (bundle / "MODEL_CARD.md").read_text() == "card"
    assert (bundle / "sheets" / "1.png").read_text() == "picture"
    assert verify_bundle(bundle) == 6
    assert [entry.name for entry in bundle.parent.iterdir()] == ["tiny"]


def test_a_failed_save_leaves_the_old_bundle_and_no_rubbish(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(native, "write_sums", full)
    with pytest.raises(OSError, match="No space"):
        resave(bundle, name="second")
    assert load_bundle(bundle).config.name == "tiny"
    assert [entry.name for entry in bundle.parent.iterdir()] == ["tiny"]


def test_a_folder_that_is_no_bundle_is_not_replaced(tmp_path: Path, saved: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("words")
    config = tiny_config()
    transformer, tokenizer = tiny_modules(config)
    with pytest.raises(CheckpointError, match="exists and is no model bundle"):
        save_bundle(
            tmp_path / "thesis",
            config=config,
            transformer=transformer,
            tokenizer=tokenizer,
            text_folder=saved / "text",
        )
    assert (tmp_path / "thesis" / "chapter").read_text() == "words"


def test_modules_that_do_not_fit_the_config_are_not_written(tmp_path: Path) -> None:
    config = replace(
        tiny_config(), text=TextConfig(kind="t5", path="google/flan-t5-xl", text_tokens=6)
    )
    transformer, tokenizer = tiny_modules(config)
    other = replace(config, tokenizer=VQConfig(codebook_size=32, channel_multipliers=(1, 2)))
    with pytest.raises(CheckpointError, match="Nothing was written"):
        save_bundle(tmp_path / "new", config=other, transformer=transformer, tokenizer=tokenizer)
    assert not list(tmp_path.iterdir())


def test_a_text_config_checks_itself() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        TextConfig(kind="minilm", path="text", text_tokens=1)
