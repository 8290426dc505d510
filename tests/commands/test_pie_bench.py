"""``editar bench pie-bench`` from data to report, with a tiny model and without any network."""

import json

import pytest


@pytest.fixture
def bench(call_editar, tiny_bundle, tmp_path, monkeypatch):
    def no_network(*args, **more):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    for name, value in {"HF_HOME": "hf", "TORCH_HOME": "torch"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))

    def run(*args, code=0, model=True):
        more = ("--model", tiny_bundle, "--guidance", "1") if model else ()
        result = call_editar("bench", "pie-bench", *args, *more)
        assert result.returncode == code, result.stderr.decode()
        return result

    return run


def results(folder):
    record = json.loads((folder / "results.json").read_text())
    return {name: value for name, value in record.items() if name != "seconds"}


def test_without_data_the_miniature_runs_and_says_what_it_is(bench, call_editar, tmp_path):
    result = bench()
    said = result.stderr.decode()
    assert "PIE-Bench not found: these figures are not comparable with published ones" in said
    assert "clip: " in said and "structure: " in said and "lpips: " in said
    summary = json.loads(result.stdout.decode().splitlines()[-1])
    assert (summary["pictures"], summary["failed"]) == (32, 0)
    assert summary["missing"] == ["clip", "lpips", "structure"]
    run = tmp_path / "runs/pie-bench"
    record = results(run)
    assert len(record["rows"]) == 32
    assert len({row["type"] for row in record["rows"]}) == 10
    assert len(list((run / "output").rglob("*.png"))) == 32
    assert record["means"]["structure_distance"]["mean"] is None
    assert record["means"]["psnr_unedit_part"]["count"] == 29
    assert "| EditAR |  | 39.43 |" in (run / "table.md").read_text()
    assert (run / "rows.csv").read_text().count("\n") == 33
    assert "add a red apple" in (run / "pictures.html").read_text()
    assert "PIE-Bench not found" in (run / "report.html").read_text()

    # Half of it gone, as after a kill: the same again, and only what was missing is made.
    kept = sorted((run / "output").rglob("*.png"))
    for path in kept[::2]:
        path.unlink()
    (run / "results.json").unlink()
    times = {path: path.stat().st_mtime_ns for path in kept[1::2]}
    assert "16 of 32 pictures are there already" in bench().stderr.decode()
    assert results(run) == record
    assert {path: path.stat().st_mtime_ns for path in kept[1::2]} == times

    # Other settings do not mix with what is there.
    said = bench("--seed", "1", code=2).stderr.decode()
    assert "made with other settings" in said

    # The same pictures as those of another program: the same figures.
    data = run / "miniature"
    bench("--data", data, "--score-only", run / "output", "-o", "again", model=False)
    again = results(tmp_path / "again")
    assert again["rows"] == record["rows"] and again["layout"] == "plain"
    compared = json.loads(call_editar("bench", "compare", run, tmp_path / "again").stdout)
    assert compared["figures"]["mse_unedit_part"]["differences"][0]["real"] is False


def test_wrong_flags_are_told_before_anything_runs(bench, tmp_path):
    assert "must be NAME=PATH" in bench("--metric-weights", "x", code=2).stderr.decode()
    said = bench("--metric-weights", "clip=none", code=2).stderr.decode()
    assert "no such file or folder" in said
    assert "give --data" in bench("--score-only", ".", code=2, model=False).stderr.decode()
    said = bench("--layout", "mgie", code=2).stderr.decode()
    assert "is about the folder of --score-only" in said
    said = bench("--data", tmp_path, code=2).stderr.decode()
    assert "mapping_file.json" in said
