"""`editar bench ... --sweep` with a tiny real model: points, resume, refusals."""

import json

import numpy as np
import pytest
from PIL import Image

from editar_cli.editor import Editor


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        noise = np.random.default_rng(i).integers(0, 256, (5, 7, 3)).astype(np.uint8)
        image = Image.fromarray(noise).resize((96, 64), Image.Resampling.BICUBIC)
        image.save(folder / f"{i}.png")
    return folder


@pytest.fixture
def sweep(call_editar, tiny_bundle, photos):
    def run(*args, code=0, model=tiny_bundle):
        more = () if model is None else ("--model", model)
        result = call_editar(
            "bench", "mini", "--data", photos, "-o", "out", "--families", "fog,sepia",
            "--device", "cpu", *more, *args,
        )  # fmt: skip
        assert result.returncode == code, result.stderr.decode()
        return result

    return run


def without_times(folder):
    record = json.loads((folder / "results.json").read_text())
    return {name: value for name, value in record.items() if name != "seconds"}


def test_each_point_is_the_run_it_would_be_alone_and_is_made_once(
    sweep, call_editar, tiny_bundle, photos, tmp_path, monkeypatch
):
    loads = []
    load = Editor.load
    monkeypatch.setattr(Editor, "load", lambda *a, **more: loads.append(1) or load(*a, **more))
    grid = ("--sweep", "guidance=1,2.5", "--sweep", "top_k=4,0")
    result = sweep(*grid)
    assert len(loads) == 1, "one model for all points"
    out = tmp_path / "out"
    folders = sorted(path.name for path in out.iterdir() if path.is_dir())
    assert folders == [f"guidance-{g}_top-k-{k}" for g in ("1", "2.5") for k in ("0", "4")]
    said = json.loads(result.stdout.decode().splitlines()[-1])
    assert said["sweep"] == {"guidance": ["1", "2.5"], "top-k": ["4", "0"]}
    assert [point["folder"] for point in said["points"]][:2] == [
        "guidance-1_top-k-4", "guidance-1_top-k-0"
    ]  # fmt: skip
    assert "way gone %" in result.stderr.decode()
    assert {"sweep.svg", "sweep.png", "sweep.md"} <= {path.name for path in out.iterdir()}
    alone = call_editar(
        "bench", "mini", "--data", photos, "-o", "alone", "--families", "fog,sepia",
        "--device", "cpu", "--model", tiny_bundle, "--guidance", "2.5", "--top-k", "4",
    )  # fmt: skip
    assert alone.returncode == 0
    assert without_times(tmp_path / "alone") == without_times(out / "guidance-2.5_top-k-4")

    # Stopped before the last was done: the same again makes that one alone.
    before = (out / "guidance-1_top-k-4/results.json").stat().st_mtime_ns
    last = out / "guidance-2.5_top-k-0/results.json"
    record = without_times(last.parent)
    last.unlink()
    plan = sweep(*grid, "--dry-run").stdout.decode()
    assert "out/guidance-1_top-k-4: guidance 1, top-k 4: is there" in plan
    assert "out/guidance-2.5_top-k-0: guidance 2.5, top-k 0: to do" in plan
    assert not last.exists() and len(loads) == 2
    sweep(*grid)
    assert without_times(last.parent) == record
    assert (out / "guidance-1_top-k-4/results.json").stat().st_mtime_ns == before

    # Other settings do not mix with what is there.
    assert b"other settings" in sweep(*grid, "--seed", "1", code=2).stderr
    assert b"other settings" in sweep(*grid, "--photos", "1", code=2).stderr
    sweep(*grid, "--seed", "1", "--overwrite")
    assert without_times(out / "guidance-1_top-k-4")["settings"]["seed"] == 1


def test_another_version_of_the_model_is_not_mixed_in(sweep, tiny_bundle, tmp_path):
    import shutil

    mine = tmp_path / "mine"
    shutil.copytree(tiny_bundle, mine)
    sweep("--sweep", "guidance=1", "--photos", "1", model=mine)
    config = mine / "config.json"
    config.write_text(config.read_text() + " ")
    said = sweep("--sweep", "guidance=1", "--photos", "1", model=mine, code=2).stderr
    assert b"another version of the model" in said


def test_seed_strategy_and_model_can_be_swept_over(sweep, tiny_bundle, tmp_path):
    grid = ("--sweep", f"model={tiny_bundle}", "--sweep", "strategy=speculative,sequential")
    sweep("--photos", "1", *grid, "--sweep", "seed=0,1", model=None)
    name = tiny_bundle.name
    rows = {
        (strategy, seed): without_times(
            tmp_path / "out" / f"model-{name}_strategy-{strategy}_seed-{seed}"
        )["rows"]
        for strategy in ("speculative", "sequential")
        for seed in "01"
    }
    assert rows["speculative", "0"] == rows["sequential", "0"], "only the time is another"
    assert rows["speculative", "0"] != rows["speculative", "1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("guidance=1,x", b"--sweep guidance=x: must be a number"),
        ("guidance=1,-2", b"--guidance -2.0: must be between 0 and 100"),
        ("preserve=yes", b"must be true or false"),
        ("strategy=fast", b"must be speculative, sequential"),
        ("photos=1,2", b"NAME must be one of guidance"),
    ],
)
def test_wrong_values_are_told_before_anything_runs(sweep, tmp_path, words, said):
    assert said in sweep("--sweep", words, code=2).stderr
    assert not (tmp_path / "out").exists()


def test_a_plan_of_one_run_says_how_much_it_is(sweep, tmp_path):
    plan = sweep("--dry-run").stdout.decode()
    assert plan.startswith("out: 4 edits: 2 photographs, 2 families, held-out wording, model ")
    assert not (tmp_path / "out").exists()
