import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from editar_cli.checkpoints.native import read_config
from editar_cli.checkpoints.registry import KNOWN, bundle_folder
from editar_cli.commands.weights import app
from editar_cli.errors import CheckpointError, UsageError
from tests.bundle_files import write_tiny_bundle
from tests.fake_hub import FakeHub, install_fake_hub
from tests.lora_files import tiny_lora_layers, write_lora
from tests.published_files import t2i_state, write_editar, write_vq


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = install_fake_hub(tmp_path, monkeypatch)
    for file in KNOWN["flan-t5-xl"].files:
        hub.place(file.repo, file.file).write_bytes(b"1234")
    return hub


def weights(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_importing_the_command_loads_nothing_heavy() -> None:
    code = (
        "import sys; import editar_cli.commands.weights\n"
        "heavy = {'torch', 'huggingface_hub', 'transformers', 'safetensors', 'numpy'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_list_shows_names_sizes_and_places(hub: FakeHub) -> None:
    result = weights("list")
    assert result.exit_code == 0
    for name in ("mini", *KNOWN):
        assert name in result.stdout
    assert "11.4 GB" in result.stdout and "14.8 GB" in result.stdout
    assert not hub.downloaded


def test_list_as_json_is_one_line_per_model(hub: FakeHub) -> None:
    def rows() -> dict[str, dict[str, object]]:
        lines = weights("list", "--json").stdout.splitlines()
        return {row["name"]: row for row in map(json.loads, lines)}

    assert rows()["flan-t5-xl"]["path"] is None and rows()["editar"]["path"] is None
    weights("pull", "flan-t5-xl", "--yes")
    write_tiny_bundle(bundle_folder("editar"))
    assert rows()["flan-t5-xl"]["path"] == str(hub.cache / "google" / "flan-t5-xl")
    assert rows()["editar"]["path"] == str(bundle_folder("editar"))


def test_pull_tells_sizes_on_stderr_and_prints_the_folder(hub: FakeHub) -> None:
    result = weights("pull", "flan-t5-xl", "--yes")
    assert result.exit_code == 0, result.exception
    assert result.stdout == f"{hub.cache / 'google' / 'flan-t5-xl'}\n"
    assert "28 B  to download" in result.stderr
    assert "google/flan-t5-xl/tokenizer.json" in result.stderr
    assert len(hub.downloaded) == 7
    again = weights("pull", "flan-t5-xl")
    assert again.stdout == result.stdout and len(hub.downloaded) == 7
    assert (
        weights("verify", "flan-t5-xl").stdout
        == "flan-t5-xl: ok, 7 files as recorded when pulled\n"
    )


def test_pull_asks_first_and_cannot_without_a_terminal(hub: FakeHub) -> None:
    result = weights("pull", "flan-t5-xl")
    assert isinstance(result.exception, UsageError) and "--yes" in str(result.exception)
    assert not hub.downloaded


@pytest.mark.parametrize(("answer", "files"), [("y", 7), ("n", 0)])
def test_pull_goes_by_the_answer(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, answer: str, files: int
) -> None:
    monkeypatch.setattr("typer.confirm", confirm_with(answer))
    monkeypatch.setattr("editar_cli.commands.weights._can_ask", lambda: True)
    result = weights("pull", "flan-t5-xl")
    assert (result.exit_code == 0) is (answer == "y")
    assert len(hub.downloaded) == files


def confirm_with(answer: str) -> Callable[..., bool]:
    import click

    def confirm(text: str, *, abort: bool, err: bool) -> bool:
        assert abort and err, "the question is no result"
        if answer != "y":
            raise click.Abort
        return True

    return confirm


def test_pull_converts_a_model_and_leaves_one_that_is_here_alone(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from editar_cli.models import presets

    monkeypatch.setitem(presets.GPT_PRESETS, "tiny", {"n_layer": 2, "n_head": 2, "dim": 16})
    torch.save({"model": t2i_state()}, hub.place("peizesun/llamagen_t2i", "t2i_XL_stage2_512.pt"))
    write_vq(hub.place("peizesun/llamagen_t2i", "vq_ds16_t2i.pt"))
    result = weights("pull", "llamagen-t2i", "--yes")
    folder = bundle_folder("llamagen-t2i")
    assert result.exit_code == 0, result.exception
    assert result.stdout == f"{folder}\n"
    assert read_config(folder).transformer.grid == 32
    downloads = len(hub.downloaded)
    again = weights("pull", "llamagen-t2i")
    assert again.stdout == f"{folder}\n" and "--force" in again.stderr
    assert len(hub.downloaded) == downloads
    assert weights("path", "llamagen-t2i").stdout == f"{folder}\n"
    assert "3 files as recorded" in weights("verify", "llamagen-t2i").stdout


def test_unknown_names_are_usage_errors(hub: FakeHub) -> None:
    for command in ("pull", "path", "verify"):
        result = weights(command, "edit-r")
        assert isinstance(result.exception, UsageError)
        assert "llamagen-t2i" in str(result.exception)


def test_path_of_what_is_not_here_says_how_to_get_it(hub: FakeHub) -> None:
    result = weights("path", "editar")
    assert isinstance(result.exception, CheckpointError)
    assert "editar weights pull editar" in str(result.exception)


def test_verify_takes_a_folder_and_finds_damage(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    result = weights("verify", tmp_path / "tiny")
    assert result.stdout == f"{tmp_path / 'tiny'}: ok, names and shapes fit, 6 files as recorded\n"
    (tmp_path / "tiny" / "SHA256SUMS").unlink()
    assert "holds no SHA256SUMS" in weights("verify", tmp_path / "tiny").stderr
    (tmp_path / "tiny" / "transformer.safetensors").unlink()
    assert isinstance(weights("verify", tmp_path / "tiny").exception, CheckpointError)


def test_convert_prints_the_bundle_and_reports_on_stderr(tmp_path: Path) -> None:
    release = write_editar(tmp_path / "release.pt")
    vq = write_vq(tmp_path / "vq.pt")
    arguments = ("convert", "--transformer", release, "--vq", vq, "-o", tmp_path / "out")
    result = weights(*arguments, "--n-head", 2, "--name", "mine", "--dtype", "float16")
    assert result.exit_code == 0, result.exception
    assert result.stdout == f"{tmp_path / 'out'}\n"
    assert "writing transformer.safetensors" in result.stderr
    assert read_config(tmp_path / "out").name == "mine"
    quiet = weights(*arguments, "--n-head", 2, "-q", "--text", "someone/t5")
    assert quiet.stderr == ""
    assert read_config(tmp_path / "out").text.path == "someone/t5"
    assert isinstance(weights(*arguments).exception, UsageError), "--n-head is needed"


def test_merge_writes_a_bundle_and_prints_its_folder(tiny_bundle: Path, tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "look", tiny_lora_layers(dim=32))
    output = tmp_path / "merged"
    result = weights(
        "merge", tiny_bundle, "--lora", f"{lora}:0.5", "-o", output, "--dtype", "bfloat16"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(output)
    stored = load_file(output / "transformer.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.bfloat16}
    assert weights("verify", output).exit_code == 0
    none = weights("merge", tiny_bundle, "-o", output)
    assert none.exit_code == 2
