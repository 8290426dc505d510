import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError

from editar_cli.checkpoints import pull as hub_pull
from editar_cli.checkpoints.native import load_bundle
from editar_cli.checkpoints.pull import (
    check_disk,
    check_downloads,
    plan_pull,
    pull,
    record_file,
)
from editar_cli.checkpoints.registry import HubFile, KnownModel, bundle_folder
from editar_cli.errors import CheckpointError
from tests.fake_hub import FakeHub, install_fake_hub
from tests.published_files import t2i_state, write_vq

TEXT = KnownModel(
    name="text",
    about="a text encoder",
    text=(
        HubFile(repo="someone/t5", file="config.json", size=10),
        HubFile(repo="someone/t5", file="model.safetensors", size=20),
    ),
)
MODEL = KnownModel(
    name="start",
    about="a model",
    transformer=HubFile(repo="someone/gpt", file="gpt.pt", size=7, repo_type="dataset"),
    tokenizer=HubFile(repo="someone/vq", file="vq.pt", size=7),
    text=TEXT.text,
    start_grid=8,
)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = install_fake_hub(tmp_path, monkeypatch)
    # Twelve layers of width 768 are a published size, so that no head count is needed.
    state = {name: value for name, value in t2i_state().items() if not name.startswith("layers.")}
    torch.save({"model": state}, hub.place("someone/gpt", "gpt.pt"))
    write_vq(hub.place("someone/vq", "vq.pt"))
    hub.place("someone/t5", "config.json").write_text("{}")
    hub.place("someone/t5", "model.safetensors").write_bytes(b"weights")
    return hub


def silent(_: str) -> None:
    """Nobody listens."""


def test_the_plan_has_the_sizes_and_sums_of_the_hub(hub: FakeHub) -> None:
    plan = plan_pull(MODEL)
    assert [file.source for file in plan] == list(MODEL.files)
    sizes = [hub.place(f.source.repo, f.source.file).stat().st_size for f in plan]
    assert [file.size for file in plan] == sizes
    assert [file.sha256 is not None for file in plan] == [True, True, False, False]
    assert all(file.cached is None for file in plan) and not hub.downloaded


def test_a_text_encoder_is_downloaded_once_and_recorded(hub: FakeHub) -> None:
    folder = pull(TEXT, plan_pull(TEXT), silent)
    assert folder == hub.cache / "someone" / "t5"
    assert hub.downloaded == ["model:someone/t5/config.json", "model:someone/t5/model.safetensors"]
    record = json.loads(record_file(TEXT).read_text())
    assert [entry["file"] for entry in record] == ["config.json", "model.safetensors"]
    assert all(len(entry["sha256"]) == 64 for entry in record)
    plan = plan_pull(TEXT)
    assert all(file.cached is not None for file in plan)
    pull(TEXT, plan, silent)
    assert len(hub.downloaded) == 2


def test_recorded_files_are_checked_and_changes_found(hub: FakeHub) -> None:
    with pytest.raises(CheckpointError, match="was not pulled here"):
        check_downloads(TEXT)
    pull(TEXT, plan_pull(TEXT), silent)
    assert check_downloads(TEXT) == 2
    (hub.cache / "someone/t5/model.safetensors").write_bytes(b"Weights")
    with pytest.raises(CheckpointError, match="its sha256 is not the recorded one"):
        check_downloads(TEXT)
    (hub.cache / "someone/t5/model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="is not in the cache"):
        check_downloads(TEXT)


def test_a_model_is_downloaded_from_its_kinds_of_repository_and_converted(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from editar_cli.models import presets

    torch.save({"model": t2i_state()}, hub.place("someone/gpt", "gpt.pt"))
    monkeypatch.setitem(presets.GPT_PRESETS, "tiny", {"n_layer": 2, "n_head": 2, "dim": 16})
    said: list[str] = []
    folder = pull(MODEL, plan_pull(MODEL), said.append)
    assert folder == bundle_folder("start")
    assert hub.downloaded[:2] == ["dataset:someone/gpt/gpt.pt", "model:someone/vq/vq.pt"]
    config = load_bundle(folder).config
    assert config.name == "start" and config.transformer.grid == 8
    assert config.training["converted_from"]["repositories"]["someone/gpt"] == "dataset"
    assert any("downloading someone/gpt/gpt.pt" in line for line in said)


def test_a_file_that_is_not_what_the_hub_states_is_refused(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_pull(MODEL)
    hub.place("someone/gpt", "gpt.pt").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=r"gpt\.pt: its sha256 is not the one the hub states"):
        pull(MODEL, plan, silent)
    assert not bundle_folder("start").exists()


def test_offline_is_honoured_and_names_what_is_missing(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(TEXT, plan_pull(TEXT), silent)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert all(file.cached for file in plan_pull(TEXT)), "what is in the cache needs no hub"
    with pytest.raises(CheckpointError, match=r"HF_HUB_OFFLINE.*someone/gpt/gpt\.pt") as raised:
        plan_pull(MODEL)
    assert "someone/t5" not in str(raised.value)
    assert len(hub.downloaded) == 2


def test_a_renamed_file_and_a_broken_line_are_told(hub: FakeHub) -> None:
    plan = plan_pull(MODEL)
    hub.place("someone/vq", "vq.pt").unlink()
    with pytest.raises(CheckpointError, match=r"the Hugging Face hub has no someone/vq/vq\.pt"):
        plan_pull(MODEL)
    hub.broken = True
    with pytest.raises(CheckpointError, match=r"could not be downloaded .connection reset.*again"):
        pull(MODEL, plan, silent)


def test_a_full_disk_is_found_before_the_download(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    plan = plan_pull(MODEL)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 90, 10))
    with pytest.raises(CheckpointError, match=r"needed, 10 B free.*HF_HOME and EDITAR_HOME"):
        check_disk(plan, MODEL)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 50, 0, 1 << 50))
    check_disk(plan, MODEL)


def test_the_hub_being_out_of_reach_is_told(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        # The base of every error of the HTTP library that huggingface_hub is built on.
        raise HfHubHTTPError.__mro__[1]("no route to host")

    monkeypatch.setattr(hub, "get_paths_info", unreachable)
    with pytest.raises(CheckpointError, match="could not be asked about someone/gpt"):
        hub_pull.hub_facts(MODEL.files)
