import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from editar_cli.checkpoints.convert import convert
from editar_cli.checkpoints.native import load_bundle, verify_bundle
from editar_cli.errors import CheckpointError
from editar_cli.models.vq import VQConfig, VQTokenizer
from tests.published_files import editar_state, t2i_state, trainer_extras, write_editar, write_vq


@pytest.fixture
def vq(tmp_path: Path) -> Path:
    return write_vq(tmp_path / "vq.pt")


@pytest.mark.parametrize("alignment", [False, True])
def test_a_release_becomes_a_bundle_that_loads_strictly(
    tmp_path: Path, vq: Path, alignment: bool
) -> None:
    release = write_editar(tmp_path / "editar_release.pt", alignment=alignment)
    said: list[str] = []
    written = convert(release, vq, tmp_path / "out", n_head=2, progress=said.append)
    bundle = load_bundle(tmp_path / "out")
    assert bundle.config == written
    assert (written.name, written.image_size, written.fit) == ("out", 8, "crop")
    assert (written.sampling.guidance, written.sampling.top_k) == (3.0, 1000)
    assert (written.text.kind, written.text.path) == ("t5", "google/flan-t5-xl")
    assert written.transformer.adapter_dim == (24 if alignment else None)
    state = editar_state(alignment=alignment)
    native = bundle.transformer.state_dict()
    assert sum(v.numel() for v in native.values()) == sum(v.numel() for v in state.values())
    assert torch.equal(native["null_text"], state["cls_embedding.uncond_embedding"])
    assert torch.equal(
        native["blocks.1.attention.qkv.weight"], state["layers.1.attention.wqkv.weight"]
    )
    assert verify_bundle(tmp_path / "out") == 3
    assert any("transformer.safetensors" in line for line in said)


def test_where_the_weights_come_from_is_recorded(tmp_path: Path, vq: Path) -> None:
    release = write_editar(tmp_path / "editar_release.pt")
    facts = convert(release, vq, tmp_path / "out", n_head=2).training["converted_from"]
    assert facts["transformer"] == {
        "file": "editar_release.pt",
        "sha256": hashlib.sha256(release.read_bytes()).hexdigest(),
    }
    assert facts["tokenizer"]["file"] == "vq.pt"


def test_a_text_to_image_file_becomes_a_training_start_that_says_so(
    tmp_path: Path, vq: Path
) -> None:
    torch.save({"model": t2i_state()}, tmp_path / "t2i.pt")
    with pytest.raises(CheckpointError, match="--start-grid"):
        convert(tmp_path / "t2i.pt", vq, tmp_path / "out", n_head=2)
    config = convert(tmp_path / "t2i.pt", vq, tmp_path / "out", n_head=2, start_grid=8)
    assert config.image_size == 16 and config.transformer.grid == 8
    assert "cannot edit" in config.training["null_image"]
    assert load_bundle(tmp_path / "out").transformer.state_dict()["null_image"].std() > 0.2


def test_safetensors_with_prefixes_convert_to_the_same_values(tmp_path: Path, vq: Path) -> None:
    release = write_editar(tmp_path / "a.pt")
    save_file(
        {f"module.{name}": value for name, value in editar_state().items()},
        tmp_path / "b.safetensors",
    )
    convert(release, vq, tmp_path / "a", n_head=2)
    convert(tmp_path / "b.safetensors", vq, tmp_path / "b", n_head=2)
    files = [(tmp_path / n / "transformer.safetensors").read_bytes() for n in "ab"]
    assert files[0] == files[1]


def test_the_transformer_can_be_stored_in_half_precision(tmp_path: Path, vq: Path) -> None:
    release = write_editar(tmp_path / "a.pt")
    convert(release, vq, tmp_path / "out", n_head=2, dtype=torch.bfloat16)
    stored = load_file(tmp_path / "out" / "transformer.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.bfloat16}
    stored = load_file(tmp_path / "out" / "tokenizer.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float32}


def test_a_text_folder_is_stored_as_an_absolute_path(
    tmp_path: Path, vq: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = write_editar(tmp_path / "a.pt")
    (tmp_path / "t5").mkdir()
    monkeypatch.chdir(tmp_path)
    config = convert(release, vq, tmp_path / "out", n_head=2, text="t5")
    assert config.text.path == str(tmp_path / "t5")


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, vq: Path) -> None:
    state = editar_state()
    for name in ("tok_embeddings.weight", "output.weight"):
        state[name] = torch.zeros(40, 16)
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="do not belong together"):
        convert(tmp_path / "a.pt", vq, tmp_path / "out", n_head=2)
    with pytest.raises(CheckpointError, match="no VQ tokenizer"):
        convert(write_editar(tmp_path / "b.pt"), tmp_path / "b.pt", tmp_path / "out", n_head=2)
    assert not (tmp_path / "out").exists()


# The shapes of the released GPT-XL: 36 layers of width 1280, 1024 image and 120 text positions.
LAYERS, DIM, HIDDEN, VOCAB, TEXT_DIM = 36, 1280, 3584, 16384, 2048
RELEASE_VALUES = 779_234_560


def release_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "img_uncond_embedding": (1024, DIM),
        "cls_embedding.uncond_embedding": (120, TEXT_DIM),
        "cls_embedding.cap_proj.fc1.weight": (DIM, TEXT_DIM),
        "cls_embedding.cap_proj.fc2.weight": (DIM, DIM),
        "tok_embeddings.weight": (VOCAB, DIM),
        "norm.weight": (DIM,),
        "output.weight": (VOCAB, DIM),
    }
    for i in range(LAYERS):
        shapes |= {
            f"layers.{i}.attention.wqkv.weight": (3 * DIM, DIM),
            f"layers.{i}.attention.wo.weight": (DIM, DIM),
            f"layers.{i}.feed_forward.w1.weight": (HIDDEN, DIM),
            f"layers.{i}.feed_forward.w3.weight": (HIDDEN, DIM),
            f"layers.{i}.feed_forward.w2.weight": (DIM, HIDDEN),
            f"layers.{i}.attention_norm.weight": (DIM,),
            f"layers.{i}.ffn_norm.weight": (DIM,),
        }
    return shapes


def release_tensor(index: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Cheap values that differ between tensors, rows and columns."""
    value = torch.arange(shape[0], dtype=torch.float32) % 251 + index / 512
    if len(shape) == 2:
        value = value[:, None] + torch.arange(shape[1]) % 13 / 32
    return value


MEASURE = """
import resource, sys
from pathlib import Path
from editar_cli.checkpoints.convert import convert
transformer, vq, out = map(Path, sys.argv[1:])
convert(transformer, vq, out)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux only")
def test_a_release_sized_file_converts_within_twice_its_size_and_loads_strictly(
    tmp_path: Path,
) -> None:
    shapes = release_shapes()
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == RELEASE_VALUES
    state = {
        name: release_tensor(i, shape).to(torch.bfloat16)
        for i, (name, shape) in enumerate(shapes.items())
    }
    release = tmp_path / "editar_release.pt"
    torch.save({"model": state, **trainer_extras()}, release)
    torch.save({"model": VQTokenizer(VQConfig()).state_dict()}, tmp_path / "vq.pt")
    size = release.stat().st_size
    expected = {
        "blocks.0.mlp.gate_up.weight": torch.cat(
            [state["layers.0.feed_forward.w1.weight"], state["layers.0.feed_forward.w3.weight"]]
        ),
        "blocks.35.attention.qkv.weight": state["layers.35.attention.wqkv.weight"],
        "null_image": state["img_uncond_embedding"],
        "head.weight": state["output.weight"],
    }
    del state
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(release), str(tmp_path / "vq.pt"), str(tmp_path / "b")],
        check=True,
        capture_output=True,
        text=True,
    )
    peak = int(done.stdout) * 1024
    print(f"file {size / 1e9:.2f} GB, peak {peak / 1e9:.2f} GB")
    assert peak < 2 * size
    release.unlink()
    with safe_open(tmp_path / "b" / "transformer.safetensors", framework="pt") as stored:
        names = stored.keys()
        count = sum(torch.Size(stored.get_slice(n).get_shape()).numel() for n in names)
        assert count == RELEASE_VALUES
        for name, value in expected.items():
            assert torch.equal(stored.get_tensor(name), value)
    bundle = load_bundle(tmp_path / "b", dtype=torch.bfloat16)
    config = bundle.config.transformer
    assert (config.n_layer, config.n_head, config.dim, config.grid) == (36, 20, 1280, 32)
    assert bundle.config.image_size == 512
    assert verify_bundle(tmp_path / "b") == 3
    # pytest keeps the folders of its last runs: gigabytes are not left in them.
    shutil.rmtree(tmp_path / "b")
