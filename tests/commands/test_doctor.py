import json

import pytest

from editar_cli.commands.doctor import page
from editar_cli.doctor import Diagnosis, Finding


def test_it_finds_this_machine_fit_for_edits(call_editar):
    done = call_editar("doctor")
    assert done.returncode == 0, done.stdout
    text = done.stdout.decode()
    assert "embedded, fits its architecture" in text
    assert "Nothing stands in the way of edits" in text
    assert all(len(line) < 80 for line in text.splitlines() if not line.startswith(" " * 8))
    assert not done.stderr


def test_where_torch_is_broken_it_says_so_and_exits_with_3(call_editar, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open')")
    done = call_editar("doctor", "--json", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert told["works"] is False
    errors = {one["name"]: one for one in told["findings"] if one["state"] == "error"}
    assert set(errors) == {"torch"}
    assert "libcudart.so.13" in errors["torch"]["text"]
    assert errors["torch"]["fix"].startswith("pip install")
    assert not done.stderr


@pytest.mark.slow
def test_its_edit_is_made(call_editar):
    done = call_editar("doctor", "--test")
    assert done.returncode == 0, done.stdout
    assert "made on" in done.stdout.decode()
    assert done.stdout.decode().endswith("Edits work.\n")


def test_the_page_wraps_texts_and_keeps_lines_to_copy_whole():
    fix = "pip install " + "long-name " * 12
    one = Finding(section="S", name="n", state="error", text="word " * 60, fix=fix)
    lines = page(Diagnosis(findings=(one,)), tested=False).splitlines()
    assert lines[0] == "S"
    assert lines[1].startswith("  ERROR n")
    assert f"{'':8}{fix}" in lines
    assert all(len(line) < 80 for line in lines if fix not in line)
    assert lines[-1] == "Edits do not work here: see n above."
