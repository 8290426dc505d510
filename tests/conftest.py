"""What several tests need: a tiny real model and the command line in a process of its own."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import editar_cli
from editar_cli import cli

RunEditar = Callable[..., "subprocess.CompletedProcess[bytes]"]
Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle folder with a real but random model: 32 px, 8 x 8 codes, two layers."""
    import torch

    from editar_cli.checkpoints.minilm import write_minilm
    from editar_cli.checkpoints.native import BundleConfig, TextConfig, save_bundle
    from editar_cli.config import SamplingConfig
    from editar_cli.models.gpt import EditARTransformer, GPTConfig
    from editar_cli.models.vq import VQConfig, VQTokenizer
    from tests.bert_files import write_tiny_bert

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer_config = VQConfig(
        codebook_size=64, codebook_dim=4, channels=32, channel_multipliers=(1, 1, 1),
        res_blocks=1, latent_channels=16,
    )  # fmt: skip
    transformer_config = GPTConfig(
        n_layer=2, n_head=2, dim=32, vocab_size=64, grid=8, text_tokens=6, text_dim=32
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = EditARTransformer(transformer_config)
        tokenizer = VQTokenizer(tokenizer_config)
        with torch.no_grad():
            # A head and buffers that start at zero would make every draw and branch alike.
            for value in transformer.state_dict().values():
                value.add_(torch.randn_like(value) * 0.2)
    write_minilm(write_tiny_bert(folder / "bert"), folder / "text")
    save_bundle(
        folder / "bundle",
        config=BundleConfig(
            name="tiny",
            transformer=transformer_config,
            tokenizer=tokenizer_config,
            text=TextConfig(kind="minilm", path="text", text_tokens=6),
            image_size=32,
            sampling=SamplingConfig(guidance=2.0, top_k=16),
        ),
        transformer=transformer,
        tokenizer=tokenizer,
        text_folder=folder / "text",
    )
    return folder / "bundle"


@pytest.fixture(scope="session")
def mapped_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, as if trained on maps that can be made here without any download."""
    folder = Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("mapped") / "bundle"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["extractors"] = {
        "canny": ["opencv"],
        "depth": ["small"],
        "segmentation": ["regions"],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def subprocess_settings() -> dict[str, str]:
    """The environment of a process that runs the tested package, without the person's settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EDITAR_")}
    paths = [str(Path(editar_cli.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def run_editar(tmp_path: Path) -> RunEditar:
    """Runs ``editar ARGS...`` in a process of its own, in ``tmp_path``."""

    def run(*args: str | Path, env: dict[str, str] | None = None, input: bytes = b""):
        return subprocess.run(
            [sys.executable, "-m", "editar_cli", *map(str, args)],
            cwd=tmp_path,
            capture_output=True,
            timeout=300,
            env={**subprocess_settings(), **(env or {})},
            input=input,
        )

    return run


@pytest.fixture(scope="session")
def editar_on_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which ``editar`` is the tested package, for lines as a person types them."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "editar"
    # As pip writes it: the program's name is editar.
    lines = ("from editar_cli.cli import main", "main()")
    command.write_text("\n".join([f"#!{sys.executable}", *lines, ""]))
    command.chmod(0o755)
    return os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])


@pytest.fixture
def shell(tmp_path: Path, editar_on_path: str, mapped_bundle: Path) -> Shell:
    """Runs lines of bash in ``tmp_path`` with the tiny model, or the embedded one for ``None``."""

    def run(
        lines: str, *, model: Path | None = mapped_bundle, env: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        settings = {"PATH": editar_on_path, "EDITAR_DEVICE": "cpu"}
        settings |= {} if model is None else {"EDITAR_MODEL": str(model)}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", lines],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=600,
            env={**subprocess_settings(), **settings, **(env or {})},
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def call_editar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunEditar:
    """The same in this process, where torch is loaded already: for all but the first few tests."""

    def call(*args: str | Path, env: dict[str, str] | None = None, input: bytes = b""):
        words = ["editar", *map(str, args)]
        out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", words)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input)))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            for name in [name for name in os.environ if name.startswith("EDITAR_")]:
                patch.delenv(name)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as leaving:
                cli.main()
        return subprocess.CompletedProcess(
            words, leaving.value.code, out.buffer.getvalue(), err.buffer.getvalue()
        )

    return call
