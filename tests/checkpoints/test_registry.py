import re
import subprocess
import sys
from pathlib import Path

import pytest

from editar_cli import embedded
from editar_cli.checkpoints.registry import (
    KNOWN,
    bundle_folder,
    known_model,
    readable_size,
    resolve_model,
)
from editar_cli.embedded import embedded_folder
from editar_cli.errors import CheckpointError, UsageError


@pytest.fixture(autouse=True)
def editar_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDITAR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def make_bundle(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_nothing_heavy_is_loaded_by_looking_a_model_up() -> None:
    code = (
        "import sys; import editar_cli.checkpoints.registry\n"
        "heavy = {'torch', 'huggingface_hub', 'transformers', 'safetensors', 'numpy'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_published_files_are_where_they_were_published() -> None:
    editar = known_model("editar")
    assert editar.transformer is not None and editar.tokenizer is not None
    assert editar.transformer.repo == "JitengMu/CVPR2025_EditAR_release"
    assert editar.transformer.repo_type == "dataset"
    assert editar.transformer.file == "editar_release.pt"
    assert (editar.tokenizer.repo, editar.tokenizer.file) == (
        "peizesun/llamagen_t2i",
        "vq_ds16_t2i.pt",
    )
    assert {file.repo for file in editar.text} == {"google/flan-t5-xl"}
    assert 11.3e9 < sum(file.size for file in editar.text) < 11.5e9
    assert known_model("llamagen-t2i").start_grid == 32 and editar.start_grid is None
    assert len(editar.files) == 2 + len(editar.text)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="known are mini, editar, llamagen-t2i, flan-t5-xl"):
        known_model("edit-r")
    with pytest.raises(UsageError, match="neither a folder nor a known name; known are mini"):
        resolve_model("edit-r")


def test_the_embedded_model_is_in_the_package_or_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "site" / "editar_cli" / "embedded.py"
    monkeypatch.setattr(embedded, "__file__", str(module))
    assert embedded_folder() is None
    with pytest.raises(CheckpointError, match="not in this installation"):
        resolve_model("mini")
    checkout = make_bundle(tmp_path / "site" / "weights" / "mini")
    assert embedded_folder() == resolve_model("mini") == checkout
    packaged = make_bundle(tmp_path / "site" / "editar_cli" / "_weights" / "mini")
    assert resolve_model("mini") == packaged


def test_known_names_are_found_where_pull_puts_them() -> None:
    with pytest.raises(CheckpointError, match=r"editar weights pull editar.*\d+\.\d GB"):
        resolve_model("editar")
    make_bundle(bundle_folder("editar"))
    assert resolve_model("editar") == bundle_folder("editar")
    with pytest.raises(UsageError, match="is a text encoder"):
        resolve_model("flan-t5-xl")


def test_paths_are_taken_as_they_are_and_known_names_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_bundle(tmp_path / "mine")
    assert resolve_model(str(folder)) == folder and resolve_model(folder) == folder
    monkeypatch.chdir(tmp_path)
    local = make_bundle(tmp_path / "editar")
    make_bundle(bundle_folder("editar"))
    assert resolve_model("editar") == bundle_folder("editar")
    assert resolve_model("./editar").resolve() == local


def test_a_path_that_is_no_bundle_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        resolve_model(tmp_path / "empty")
    (tmp_path / "w.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="editar weights convert --transformer"):
        resolve_model(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1440, "1.4 kB"), (288e6, "288.0 MB"), (1.14e10, "11.4 GB")],
)
def test_sizes_read_as_on_the_hub(size: float, text: str) -> None:
    assert readable_size(int(size)) == text


def test_names_can_be_typed() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in KNOWN)
