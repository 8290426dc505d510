"""`editar bench mini` with a tiny real model."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from editar_cli.checkpoints.native import sha256_of


@pytest.fixture
def photos(tmp_path):
    """A folder of twelve photographs, 0.jpg, 01.jpg, ... in name order."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(12):
        noise = np.random.default_rng(i).integers(0, 256, (5, 7, 3)).astype(np.uint8)
        image = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
        image.save(folder / f"{i:02}.jpg")
    return folder


@pytest.fixture
def bench(call_editar, tiny_bundle, photos):
    """`editar bench mini --data photos -o out --model TINY` on a few small edits."""

    def run(*args, families="snow,sepia,unchanged", output="out"):
        return call_editar(
            "bench", "mini", "--data", photos, "-o", output, "--model", tiny_bundle,
            "--device", "cpu", "--side", "64", "--families", families, *args,
        )  # fmt: skip

    return run


def last_line(result):
    return json.loads(result.stdout.decode().splitlines()[-1])


def test_it_leaves_its_files_and_says_the_summary_last(bench, tmp_path, tiny_bundle):
    result = bench("--photos", "3", "--truth-draws", "2", "--guidance", "1.5")
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(tmp_path / "out")) == [
        "results.json", "rows.csv", "sheet.png", "table.md"
    ]  # fmt: skip
    record = json.loads((tmp_path / "out/results.json").read_text())
    said = last_line(result)
    assert said["output"] == "out"
    assert (said["benchmark"], said["model"], said["wording"]) == ("mini", "tiny", "held-out")
    assert (said["photos"], said["edits"], said["judged"], said["families"]) == (3, 9, 6, 2)
    assert said["median_ratio"] == record["summary"]["median_ratio"]
    assert record["bundle"]["transformer.safetensors"] == sha256_of(
        tiny_bundle / "transformer.safetensors"
    )
    settings = record["settings"]
    assert (settings["guidance"], settings["truth_draws"], settings["side"]) == (1.5, 2, 64)
    assert [row["photo"] for row in record["rows"][::3]] == ["00.jpg", "04.jpg", "08.jpg"]
    errors = result.stderr.decode()
    assert "9 edits: 3 photographs, 3 families, held-out wording, model tiny on cpu" in errors
    assert "editing: 9 of 9" in errors
    assert "median ratio" in errors
    assert "families count" in errors


def test_the_figures_are_the_same_again_and_in_other_batches(bench, tmp_path):
    for output, size in (("one", "1"), ("two", "4")):
        result = bench("--photos", "2", "--batch-size", size, output=output)
        assert result.returncode == 0, result.stderr
    one, two = (json.loads((tmp_path / o / "results.json").read_text()) for o in ("one", "two"))
    assert one["rows"] == two["rows"]
    assert one["families"] == two["families"]


def test_the_kept_out_photographs_are_those_of_training(bench, tmp_path):
    result = bench("--keep-out-every", "8", families="unchanged")
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "out/results.json").read_text())
    assert [row["photo"] for row in record["rows"]] == ["05.jpg"]


def test_training_wording_can_be_asked_for(bench, tmp_path):
    from editar_cli.synthesis import EFFECTS

    assert bench("--photos", "2", "--wording", "training", "-q").returncode == 0
    record = json.loads((tmp_path / "out/results.json").read_text())
    assert all(r["instruction"] in EFFECTS[r["family"]].instructions for r in record["rows"])


def test_quiet_leaves_the_summary_only(bench):
    result = bench("--photos", "1", "-q", families="unchanged")
    assert result.stderr == b""
    assert len(result.stdout.splitlines()) == 1
    assert last_line(result)["identity_changed"] is not None


def test_results_that_are_there_are_replaced_only_on_demand(bench, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.json").write_text("old")
    refused = bench("--photos", "1", families="unchanged")
    assert refused.returncode == 2
    assert b"--overwrite" in refused.stderr
    assert (tmp_path / "out/results.json").read_text() == "old"
    assert bench("--photos", "1", "--overwrite", families="unchanged").returncode == 0
    assert (tmp_path / "out/results.json").read_text() != "old"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--families", "snow,hail"), b"hail"),
        (("--batch-size", "many"), b"--batch-size many"),
        (("--guidance", "-1"), b"guidance"),
        (("--keep-out-every", "1"), b"keep-out-every"),
        (("--data", "nowhere"), b"nowhere"),
        (("--wording", "both"), b"wording"),
    ],
)
def test_wrong_words_are_told_before_a_model_loads(bench, monkeypatch, args, said):
    def fail(*args, **more):
        raise AssertionError("loaded")

    monkeypatch.setattr("editar_cli.editor.load_bundle", fail)
    result = bench(*args)
    assert result.returncode in (1, 2)
    assert said in result.stderr


def test_too_few_photographs_to_keep_any_out_is_wrong_usage(bench, photos):
    for name in os.listdir(photos)[:9]:
        (photos / name).unlink()
    result = bench("--keep-out-every", "8")
    assert result.returncode == 2
    assert b"too few pictures" in result.stderr


def test_a_place_that_cannot_be_written_is_wrong_usage(bench, tmp_path):
    (tmp_path / "file").write_text("")
    result = bench(output="file/out")
    assert result.returncode == 2
    assert b"cannot be made" in result.stderr


def test_without_opencv_it_says_what_to_install(bench, monkeypatch):
    monkeypatch.setattr("editar_cli.commands.bench.find_spec", lambda name: None)
    result = bench()
    assert result.returncode == 1
    assert b"editar[train]" in result.stderr


def test_a_damaged_photograph_is_named(bench, photos):
    (photos / "00.jpg").write_bytes(b"no picture")
    result = bench("--photos", "1")
    assert result.returncode == 1
    assert b"00.jpg: cannot be read" in result.stderr
    assert b"Traceback" not in result.stderr
