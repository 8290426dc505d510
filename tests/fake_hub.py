"""A Hugging Face hub made of a folder: the two calls that the project makes, and their cache."""

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.hf_api import RepoFile


@dataclass
class FakeHub:
    """Files that exist under ``remote``, downloads recorded in ``downloaded``."""

    remote: Path
    cache: Path
    downloaded: list[str] = field(default_factory=list)
    broken: bool = False

    def place(self, repo: str, file: str) -> Path:
        """Where to put a file so that the hub has it."""
        path = self.remote / repo / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def get_paths_info(self, repo: str, paths: list[str], *, repo_type: str) -> list[RepoFile]:
        repo_file: Any = RepoFile
        answers = []
        for path in paths:
            file = self.remote / repo / path
            if file.is_file():
                size = file.stat().st_size
                answer: dict[str, Any] = {"path": path, "size": size, "oid": "0"}
                if path.endswith(".pt"):
                    digest = hashlib.sha256(file.read_bytes()).hexdigest()
                    answer["lfs"] = {"size": size, "oid": digest, "pointerSize": 136}
                answers.append(repo_file(**answer))
        return answers

    def hf_hub_download(self, repo: str, file: str, *, repo_type: str) -> str:
        if self.broken:
            raise OSError("connection reset")
        self.downloaded.append(f"{repo_type}:{repo}/{file}")
        target = self.cache / repo / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.remote / repo / file, target)
        return str(target)

    def try_to_load_from_cache(self, repo: str, file: str, *, repo_type: str) -> str | None:
        target = self.cache / repo / file
        return str(target) if target.is_file() else None


def install_fake_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    import huggingface_hub
    from huggingface_hub import constants

    hub = FakeHub(folder / "remote", folder / "cache")
    monkeypatch.setenv("EDITAR_HOME", str(folder / "home"))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub.hf_hub_download)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", hub.try_to_load_from_cache)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return hub
