"""`editar bench mini` and `editar bench translate` with a tiny real model."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from editar_cli.checkpoints.native import sha256_of
from tests.synthesis.painted_cutouts import write_cutouts


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


def test_edits_of_things_are_judged_where_there_are_cutouts(bench, tmp_path):
    folder = write_cutouts(tmp_path / "cutouts")
    result = bench(
        "--photos", "2", "--cutouts", folder, families="sepia,removal,addition,replacement,recolour"
    )
    assert result.returncode == 0, result.stderr
    said = last_line(result)
    assert (said["edits"], said["families"]) == (10, 1)
    assert set(said["local"]) == {"removal", "addition", "replacement", "recolour"}
    record = json.loads((tmp_path / "out/results.json").read_text())
    assert len(record["local_rows"]) == 8 and record["settings"]["cutouts"] == str(folder)
    assert b"PSNR outside" in result.stderr


def test_kept_out_things_are_those_of_training(bench, tmp_path):
    folder = write_cutouts(tmp_path / "cutouts")
    result = bench("--keep-out-every", "8", "--cutouts", folder, families="removal", output="kept")
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((tmp_path / "kept/results.json").read_text())["local_rows"]
    assert "cloud" in row["instruction"], "the sixth of eight"


def test_all_families_are_the_looks_where_there_are_no_cutouts(bench, tmp_path, call_editar):
    refused = bench(families="removal")
    assert refused.returncode == 2 and b"--cutouts" in refused.stderr
    broken = bench("--cutouts", tmp_path / "none", families="removal")
    assert broken.returncode == 2 and b"no folder of cut-outs" in broken.stderr


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


def test_a_damaged_photograph_is_named(bench, photos):
    (photos / "00.jpg").write_bytes(b"no picture")
    result = bench("--photos", "1")
    assert result.returncode == 1
    assert b"00.jpg: cannot be read" in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.fixture
def bench_translate(call_editar, tiny_bundle, photos):
    """`editar bench translate --data photos -o out --model TINY`."""

    def run(*args, output="out"):
        return call_editar(
            "bench", "translate", "--data", photos, "-o", output, "--model", tiny_bundle,
            "--device", "cpu", "--side", "64", *args,
        )  # fmt: skip

    return run


CANNY = ("--modes", "canny", "--extractor", "opencv")
REGIONS = ("--modes", "segmentation", "--extractor", "regions")


def test_translate_leaves_its_files_and_says_the_summary_last(
    bench_translate, tmp_path, tiny_bundle
):
    result = bench_translate(*CANNY, "--photos", "3", "--guidance", "1.5", "--seed", "4")
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(tmp_path / "out")) == ["results.json", "sheet-canny.png", "table.md"]
    record = json.loads((tmp_path / "out/results.json").read_text())
    said = last_line(result)
    assert said.keys() == {"benchmark", "model", "photos", "canny", "seconds", "output"}
    assert (said["benchmark"], said["model"], said["photos"]) == ("translate", "tiny", 3)
    assert (said["output"], said["canny"]["extractor"]) == ("out", "opencv")
    (mode,) = record["modes"]
    for column in ("output", "shuffled", "tokenizer"):
        assert said["canny"][column] == mode[column]
        assert mode[column].keys() == {"f1_near", "f1"}
        for name, value in mode[column].items():
            assert value == pytest.approx(np.mean([row[column][name] for row in mode["rows"]]))
            assert 0 <= value <= 1
    assert [row["photo"] for row in mode["rows"]] == ["00.jpg", "04.jpg", "08.jpg"]
    assert record["bundle"]["transformer.safetensors"] == sha256_of(
        tiny_bundle / "transformer.safetensors"
    )
    settings = record["settings"]
    assert (settings["guidance"], settings["seed"], settings["photos"]) == (1.5, 4, 3)
    table = (tmp_path / "out/table.md").read_text().splitlines()
    assert table[0] == "| mode | figure | photos | output | shuffled | tokenizer |"
    assert table[2].startswith("| canny (opencv) | f1 near | 3 | 0.")
    errors = result.stderr.decode()
    assert "canny: 3 of 3" in errors and "shuffled" in errors


def test_the_figures_of_translate_can_be_checked_on_its_sheet(bench_translate, tmp_path):
    from editar_cli.modes import load_mode
    from editar_cli.modes.canny import canny_map

    assert bench_translate(*CANNY, "--photos", "2", "-q").returncode == 0
    record = json.loads((tmp_path / "out/results.json").read_text())
    sheet = np.asarray(Image.open(tmp_path / "out/sheet-canny.png"))
    assert sheet.shape == (32, 2 * 3 * 32, 3)
    given, outputs = zip(
        *((sheet[:, i + 32 : i + 64], sheet[:, i + 64 : i + 96]) for i in (0, 96)), strict=True
    )
    agreement = load_mode("canny").agreement
    rows = record["modes"][0]["rows"]
    for i in (0, 1):
        made = canny_map(np.ascontiguousarray(outputs[i]))
        assert rows[i]["output"] == pytest.approx(agreement(given[i], made))
        # With two photographs chance is always the other one.
        assert rows[i]["shuffled"] == pytest.approx(agreement(given[1 - i], made))


def test_translate_takes_regions_and_several_modes(bench_translate, tmp_path, tiny_bundle):
    result = bench_translate(*REGIONS, "--photos", "2", "-q")
    assert result.returncode == 0 and result.stderr == b""
    assert last_line(result)["segmentation"]["output"].keys() == {"miou", "boundary_f1"}
    assert (tmp_path / "out/sheet-segmentation.png").exists()
    # The extractors that the model itself names.
    model = tmp_path / "model"
    shutil.copytree(tiny_bundle, model)
    config = json.loads((model / "config.json").read_text())
    config["extractors"] = {"canny": ["opencv"], "segmentation": ["regions"]}
    (model / "config.json").write_text(json.dumps(config))
    both = bench_translate(
        "--modes", "canny,segmentation", "--photos", "2", "-q", "--model", model, output="both"
    )
    assert both.returncode == 0, both.stderr
    record = json.loads((tmp_path / "both/results.json").read_text())
    assert [(mode["mode"], mode["extractor"]) for mode in record["modes"]] == [
        ("canny", "opencv"),
        ("segmentation", "regions"),
    ]
    assert sorted(file.name for file in (tmp_path / "both").glob("*.png")) == [
        "sheet-canny.png",
        "sheet-segmentation.png",
    ]


def test_captions_lie_beside_their_photographs(bench_translate, photos, monkeypatch):
    from editar_cli.benchmarks import translation

    seen = []
    original = translation.run_mode
    monkeypatch.setattr(
        translation, "run_mode", lambda *a, **k: seen.append(k["captions"]) or original(*a, **k)
    )
    (photos / "00.txt").write_text("two\n lines \n", encoding="utf-8")
    for flags in ((), ("--captions",)):
        result = bench_translate(*CANNY, "--photos", "2", "-q", "--overwrite", *flags)
        assert result.returncode == 0, result.stderr
    assert seen == [{}, {"00.jpg": "two lines"}]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((*CANNY, "--photos", "1"), b"at least two photographs are needed"),
        (("--modes", "canny,segmentation", "--extractor", "opencv"), b"--modes canny"),
        (("--modes", "canny", "--extractor", "regions"), b"mode canny has opencv, kornia"),
        (("--modes", "edges"), b"--mode edges: must be one of canny"),
        ((*CANNY, "--guidance", "-1"), b"guidance"),
        ((*CANNY, "--data", "nowhere"), b"nowhere"),
    ],
)
def test_wrong_words_to_translate_are_told_before_a_model_loads(
    bench_translate, monkeypatch, tmp_path, args, said
):
    def fail(*args, **more):
        raise AssertionError("loaded")

    monkeypatch.setattr("editar_cli.editor.load_bundle", fail)
    result = bench_translate(*args)
    assert result.returncode in (1, 2)
    assert said in result.stderr and b"Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_results_of_translate_are_replaced_only_on_demand(bench_translate, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.json").write_text("old")
    refused = bench_translate(*CANNY, "--photos", "2")
    assert refused.returncode == 2 and b"--overwrite" in refused.stderr
    assert (tmp_path / "out/results.json").read_text() == "old"
