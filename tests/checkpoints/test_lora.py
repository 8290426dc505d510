import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from editar_cli.checkpoints.lora import LORA_WEIGHTS, LoraChoice, lora_facts, read_lora, with_loras
from editar_cli.checkpoints.native import load_bundle
from editar_cli.errors import CheckpointError, UsageError
from tests.bundle_files import tiny_config, tiny_modules
from tests.lora_files import ALPHA, RANK, tiny_lora_layers, write_lora

LAYER = "blocks.0.attention.qkv"


def weights() -> dict[str, Tensor]:
    return tiny_modules(tiny_config())[0].state_dict()


def test_a_layer_gets_scale_times_alpha_over_r_times_b_a(tmp_path: Path) -> None:
    before = weights()
    after = read_lora(write_lora(tmp_path / "lora")).add_to(before, 0.5)
    a, b = tiny_lora_layers()[LAYER]
    expected = before[f"{LAYER}.weight"] + 0.5 * ALPHA / RANK * (b @ a)
    torch.testing.assert_close(after[f"{LAYER}.weight"], expected)
    touched = {name for name in before if not torch.equal(before[name], after[name])}
    assert touched == {f"{LAYER}.weight", "blocks.1.attention.out.weight"}
    assert torch.equal(before[f"{LAYER}.weight"], weights()[f"{LAYER}.weight"])


@pytest.mark.parametrize("rslora", [False, True])
def test_the_sum_is_pefts_own_bit_for_bit(tmp_path: Path, rslora: bool) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model

    settings = LoraConfig(
        r=3, lora_alpha=5, target_modules=["qkv", "down", "fc1"], use_rslora=rslora
    )
    model = get_peft_model(tiny_modules(tiny_config())[0], settings)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name:
                value.copy_(torch.randn(value.shape, generator=noise))
    model.save_pretrained(tmp_path / "lora")
    found = with_loras(weights(), [LoraChoice(path=tmp_path / "lora")])
    read_back = PeftModel.from_pretrained(tiny_modules(tiny_config())[0], tmp_path / "lora")
    merged = read_back.merge_and_unload().state_dict()
    assert merged.keys() == found.keys()
    for name, value in merged.items():
        assert torch.equal(value, found[name]), name


def test_adapters_add_up_whatever_their_order(tmp_path: Path) -> None:
    one = LoraChoice(path=write_lora(tmp_path / "one"), scale=0.7)
    two = LoraChoice(path=write_lora(tmp_path / "two", tiny_lora_layers(seed=1)), scale=-0.2)
    first, second = (with_loras(weights(), order) for order in ((one, two), (two, one)))
    for name, value in first.items():
        torch.testing.assert_close(value, second[name])


def test_a_bundle_in_half_precision_is_added_to_in_float32(tiny_bundle: Path, tmp_path: Path):
    lora = write_lora(tmp_path / "lora", {LAYER: (torch.ones(4, 32), 1e-4 * torch.ones(96, 4))})
    plain = load_bundle(tiny_bundle).transformer.state_dict()
    bundle = load_bundle(tiny_bundle, loras=[LoraChoice(path=lora)])
    moved = bundle.transformer.state_dict()[f"{LAYER}.weight"] - plain[f"{LAYER}.weight"]
    torch.testing.assert_close(
        moved, torch.full_like(moved, 4e-4 * ALPHA / RANK), rtol=1e-3, atol=0
    )
    assert [lora.scale for lora in bundle.loras] == [1.0]


def test_peft_is_not_needed_to_use_an_adapter(tiny_bundle: Path, tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "lora", tiny_lora_layers(dim=32))
    code = (
        "import sys; sys.modules['peft'] = None\n"
        "from editar_cli import Editor\n"
        f"Editor.load({str(tiny_bundle)!r}, device='cpu', loras=[{f'{lora}:0.5'!r}])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_choice_is_a_folder_and_perhaps_a_scale(tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "a:2")
    assert LoraChoice.parse(f"{lora}") == LoraChoice(path=lora)
    assert LoraChoice.parse(f"{lora}:0.8") == LoraChoice(path=lora, scale=0.8)
    assert LoraChoice.parse(f"{lora / LORA_WEIGHTS}:-1") == LoraChoice(path=lora, scale=-1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}:much", "much is no scale; write PATH:0.8"),
        ("{}:nan", "nan is no scale"),
        ("{}/none:0.8", "no such folder"),
        ("{}/none", "no such folder"),
    ],
)
def test_a_wrong_choice_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"--lora .*{said}"):
        LoraChoice.parse(text.format(tmp_path))


def test_the_identity_of_an_adapter_is_its_content(tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "look")
    before = LoraChoice(path=lora, scale=0.8).identity
    assert before.startswith("look:0.8 ") and before == LoraChoice(path=lora, scale=0.8).identity
    write_lora(tmp_path / "look", tiny_lora_layers(seed=1))
    assert LoraChoice(path=lora, scale=0.8).identity != before
    (lora / LORA_WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"look: no LoRA adapter, adapter_model"):
        assert LoraChoice(path=lora).identity


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"bias": "all"},
        {"modules_to_save": ["head"]},
        {"peft_type": "IA3"},
        {"alpha_pattern": {"qkv": 3}},
    ],
)
def test_what_is_more_than_a_plain_lora_is_refused(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    (key,) = settings
    with pytest.raises(CheckpointError, match=f"{key} is .*; only plain LoRA"):
        read_lora(write_lora(tmp_path, **settings))


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    lora = read_lora(
        write_lora(tmp_path / "deep", {"blocks.7.mlp.down": tiny_lora_layers()[LAYER]})
    )
    with pytest.raises(CheckpointError, match=r"another model: this one has no blocks\.7\.mlp"):
        lora.add_to(weights())
    lora = read_lora(write_lora(tmp_path / "wide", tiny_lora_layers(dim=20)))
    with pytest.raises(CheckpointError, match=r"its blocks.0.attention.qkv is \(60, 20\), here \("):
        lora.add_to(weights())


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no LoRA adapter, adapter_config.json is missing"):
        read_lora(tmp_path)
    a, b = tiny_lora_layers()[LAYER]
    with pytest.raises(CheckpointError, match="lacks a half or is not of rank 4"):
        read_lora(write_lora(tmp_path / "rank", {LAYER: (a[:3], b[:, :3])}))
    lora = write_lora(tmp_path / "half")
    state = load_file(lora / LORA_WEIGHTS)
    del state[f"base_model.model.{LAYER}.lora_B.weight"]
    save_file(state, lora / LORA_WEIGHTS)
    with pytest.raises(CheckpointError, match="lacks a half"):
        read_lora(lora)
    save_file({"base_model.model.head.weight": a}, lora / LORA_WEIGHTS)
    with pytest.raises(CheckpointError, match=r"head\.weight is no part of a plain LoRA"):
        read_lora(lora)
    save_file({}, lora / LORA_WEIGHTS)
    with pytest.raises(CheckpointError, match="holds no weights"):
        read_lora(lora)
    (lora / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"adapter_config.json: cannot be read: .*'r'"):
        read_lora(lora)


def test_the_facts_beside_an_adapter_say_what_it_was_made_for() -> None:
    shape = tiny_config().transformer
    facts = json.loads(lora_facts(base="tiny", shape=shape, training={"pairs": 40}))
    assert (facts["base"], facts["transformer"]["dim"]) == ("tiny", 16)
    assert facts["training"] == {"pairs": 40}
