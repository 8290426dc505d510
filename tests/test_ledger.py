"""What is done again and what is not, with a maker that inverts pictures."""

import json
import os
import shutil
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from editar_cli.batch import Placement, plan_jobs
from editar_cli.errors import EditarError, ImageError, UsageError
from editar_cli.ledger import Ledger, Start, Verdict
from editar_cli.pipeline import Made, run_jobs


class Inverter:
    """Inverts pictures; those whose path holds a word of ``refused`` it cannot."""

    def __init__(self, refused=()):
        self.facts = {"model": "fake", "dtype": "float32"}
        self.refused = refused
        self.seen = []

    def picture_seed(self, key, seed=None):
        return len(key)

    def prepare(self, asked):
        self.seen.append(Path(asked.source.name).name)
        if any(word in asked.source.name for word in self.refused):
            raise ImageError(f"{asked.source.name}: cannot be inverted")
        return asked.source

    def vary(self, prepared, seed):
        return prepared

    def stream(self, prepared, *, slots, on_drawn, on_fewer_slots):
        for index, source in enumerate(prepared):
            yield index, 255 - source.pixels

    def finish(self, prepared, result):
        return Made(pixels=result, like=prepared)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A working directory with photos/0.png to photos/3.png."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(4):
        Image.new("RGB", (9, 7), (10, 20, number)).save(f"photos/{number}.png")
    return tmp_path / "photos"


def run(
    inputs=("photos",),
    text="x",
    refused=(),
    settings=None,
    dtype=None,
    seed=0,
    shard=(1, 1),
    **more,
):
    """Plan and run; the plan and the names of the pictures that were worked on."""
    placement = Placement(**{"output": None if more.get("in_place") else "out", **more})
    ledger = Ledger(
        lambda: settings or {"guidance": 3},
        seed=seed,
        on_exists=placement.on_exists,
        in_place=placement.in_place,
        dtype=dtype,
    )
    plan = plan_jobs(inputs, text, placement, ledger=ledger, shard=shard)
    maker = Inverter(refused)
    ledger.open(plan.jobs, maker.facts)
    run_jobs(plan.jobs, maker, lambda outcome: None, slots=2, threads=2, ledger=ledger)
    ledger.close()
    return plan, sorted(maker.seen)


ALL = ["0.png", "1.png", "2.png", "3.png"]


def lines(folder="out"):
    return [json.loads(text) for text in Path(folder, "manifest.jsonl").read_text().splitlines()]


def test_a_line_says_what_was_made_of_what_and_how(photos):
    run(text="invert")
    assert sorted(os.listdir("out")) == [*ALL, "manifest.jsonl"]
    (line,) = [line for line in lines() if line["output"] == "1.png"]
    assert line["input"] == "../photos/1.png"
    assert (line["status"], line["instruction"], line["seed"]) == ("done", "invert", 5)
    assert line["seconds"] >= 0
    assert line["settings"] == {
        "model": "fake",
        "dtype": "float32",
        "guidance": 3,
        "instruction": "invert",
        "seed": 0,
    }
    assert line["input_size"] == os.path.getsize("photos/1.png")
    assert line["output_size"] == os.path.getsize("out/1.png")
    assert line["output_mtime_ns"] == os.stat("out/1.png").st_mtime_ns
    assert len(line["input_hash"]) == len(line["output_hash"]) == 32
    assert line["time"].endswith("+00:00")
    assert line["editar"]


def test_the_same_command_again_does_nothing(photos):
    run()
    plan, seen = run()
    assert seen == [] and len(plan.skipped) == 4 and not plan.again
    assert len(lines()) == 4


def test_what_is_missing_is_done(photos):
    run()
    Path("out/2.png").unlink()
    Image.new("RGB", (9, 7)).save("photos/4.png")
    assert run()[1] == ["2.png", "4.png"]


@pytest.mark.parametrize(
    "change", [{"text": "y"}, {"settings": {"guidance": 4}}, {"seed": 1}, {"dtype": "bfloat16"}]
)
def test_other_settings_are_done_again_once(photos, change):
    run()
    plan, seen = run(**change)
    assert seen == ALL
    assert list(plan.again) == [Verdict.OTHER_SETTINGS]
    if "dtype" not in change:
        assert run(**change)[1] == []


def test_a_number_format_counts_only_where_it_is_asked_for(photos):
    run(dtype="float32")
    assert run()[1] == []
    assert run(dtype="float32")[1] == []


def test_the_settings_that_differ_are_named(photos):
    run()
    ledger = Ledger(lambda: {"guidance": 4}, seed=2, dtype="bfloat16")
    plan = plan_jobs(["photos"], "x", Placement(output="out"), ledger=ledger)
    assert ledger.differences(plan.jobs[0]) == ["guidance", "seed", "dtype"]


def test_failed_ones_are_tried_again(photos):
    run(refused=["2.png"])
    (line,) = [line for line in lines() if line["status"] == "failed"]
    assert line["error"] == "photos/2.png: cannot be inverted"
    assert not Path("out/2.png").exists()
    assert run(refused=["2.png"])[1] == ["2.png"]
    assert run()[1] == ["2.png"]
    assert run()[1] == []


def test_a_failure_with_other_settings_does_not_undo_what_is_there(photos):
    run()
    run(text="y", refused=["2.png"])
    assert run(text="y")[1] == ["2.png"]
    # It is as the first run left it, until the second one's succeeds.
    run(text="z", refused=["1.png"])
    assert run(text="z", refused=["1.png"])[1] == ["1.png"]


def test_a_changed_input_is_done_again(photos):
    run()
    Image.new("RGB", (9, 7), (1, 1, 1)).save("photos/1.png")
    plan, seen = run()
    assert seen == ["1.png"] and list(plan.again) == [Verdict.OTHER_INPUT]


def test_an_input_with_another_time_is_read_once_and_remembered(photos):
    run()
    os.utime("photos/1.png", ns=(5, 5))
    os.utime("photos/2.png", ns=(5, 5))
    # Something to do, so that there is a run.
    Path("out/3.png").unlink()
    assert run()[1] == ["3.png"]
    kept = {line["output"]: line["input_mtime_ns"] for line in lines()}
    assert kept["1.png"] == kept["2.png"] == 5


def test_outputs_of_another_folders_pictures_are_left_alone(photos):
    run()
    Path("more").mkdir()
    Image.new("RGB", (9, 7), (200, 0, 0)).save("more/1.png")
    before = Path("out/1.png").read_bytes()
    plan, seen = run(["more"], text="y")
    assert seen == [] and [job.output.name for job in plan.strange] == ["1.png"]
    assert Path("out/1.png").read_bytes() == before


def test_folders_can_be_moved(photos, tmp_path):
    run()
    (tmp_path / "new").mkdir()
    shutil.move("photos", "new/photos")
    shutil.move("out", "new/out")
    os.chdir("new")
    assert run()[1] == []
    shutil.copytree("photos", "copied")
    assert run(["copied"])[1] == []


def test_outputs_without_a_line_are_skipped(photos):
    Path("out").mkdir()
    shutil.copy("photos/0.png", "out/1.png")
    assert run()[1] == ["0.png", "2.png", "3.png"]
    assert run(on_exists="overwrite")[1] == ALL


def test_an_output_that_was_touched_up_stays(photos):
    run()
    Image.new("RGB", (3, 3)).save("out/1.png")
    assert run()[1] == []


def test_an_output_whose_new_version_was_cut_short_is_done_again(photos):
    run()
    before = lines()
    run(text="y")
    # As if the process had been killed between the line and the name.
    Image.new("RGB", (3, 3)).save("out/1.png")
    Path("out/.1.png.999999999.part").write_bytes(b"new version")
    assert run(text="y")[1] == ["1.png"]
    assert sorted(os.listdir("out")) == [*ALL, "manifest.jsonl"]
    assert len(lines()) == 2 * len(before) + 1


def test_unfinished_files_of_dead_processes_are_deleted_and_only_those(photos):
    Path("out").mkdir()
    alive = f"out/.b.png.{os.getppid()}.part"
    old = f"out/.c.png.{os.getppid()}.part"
    for name in ("out/.a.png.999999999.part", alive, old, "out/mine.part"):
        Path(name).write_bytes(b"")
    os.utime(old, (1, 1))
    run()
    assert sorted(os.listdir("out")) == sorted(
        [Path(alive).name, *ALL, "manifest.jsonl", "mine.part"]
    )


def test_missing_previews_are_made(photos):
    class Previewer(Inverter):
        def finish(self, prepared, result):
            beside = {"preview": np.zeros((2, 2, 3), np.uint8)}
            return Made(pixels=result, like=prepared, beside=beside)

    for done in (ALL, ["1.png"]):
        ledger = Ledger()
        plan = plan_jobs(["photos"], "x", Placement(output="out", preview=True), ledger=ledger)
        maker = Previewer()
        ledger.open(plan.jobs, maker.facts)
        run_jobs(plan.jobs, maker, lambda outcome: None, slots=1, threads=1, ledger=ledger)
        ledger.close()
        assert sorted(maker.seen) == done
        assert Path("out/1.preview.png").exists()
        Path("out/1.preview.png").unlink()


def test_in_place_twice_edits_once(photos):
    before = {name: (photos / name).read_bytes() for name in ALL}
    assert run(in_place=True)[1] == ALL
    once = {name: (photos / name).read_bytes() for name in ALL}
    assert once != before
    assert run(in_place=True)[1] == []
    for name in ALL:
        # A copy has another time.
        os.utime(photos / name, ns=(7, 7))
    assert run(in_place=True)[1] == []
    assert {name: (photos / name).read_bytes() for name in ALL} == once
    (photos / "1.png").write_bytes(before["1.png"])
    assert run(in_place=True)[1] == ["1.png"]
    assert run(in_place=True, text="y")[1] == ALL
    assert sorted(os.listdir(photos)) == [*ALL, "manifest.jsonl"]


def test_a_picture_that_failed_in_place_is_not_edited_twice_afterwards(photos):
    run(in_place=True)
    run(in_place=True, text="y", refused=["1.png"])
    assert run(in_place=True, text="y")[1] == ["1.png"]


def test_results_kept_among_the_inputs_are_no_inputs(photos):
    placement = {"output": "photos", "name": "new-{stem}{ext}"}
    assert run(**placement)[1] == ALL
    plan, seen = run(**placement)
    assert seen == [] and len(plan.skipped) == 4


def test_edited_in_place_are_inputs_still(photos):
    run(in_place=True)
    assert run(output="photos", name="new-{stem}{ext}")[1] == ALL


def test_no_manifest_stands_beside_single_files(photos):
    run(["photos/1.png"], output=None)
    assert sorted(os.listdir("photos")) == ["0.png", "1.edited.png", "1.png", "2.png", "3.png"]
    assert run(["photos/1.png"], output=None, text="y")[1] == []


def test_a_folder_without_a_name_given_has_its_own(photos):
    run(output=None)
    assert len(lines("photos.edited")) == 4
    assert run(output=None)[1] == []


def test_shards_are_the_whole_and_no_picture_is_in_two(photos):
    for number in range(40):
        Image.new("RGB", (2, 2)).save(f"photos/more-{number}.png")
    done = [run(shard=(number, 3), on_exists="overwrite")[1] for number in (1, 2, 3)]
    assert all(done)
    assert sorted(chain.from_iterable(done)) == sorted(os.listdir("photos"))
    assert run()[1] == []
    plan, _ = run(shard=(2, 3))
    assert len(plan.skipped) + plan.elsewhere == 44


def test_a_picture_stays_in_its_shard_whatever_comes_beside_it(photos):
    ours = {job.key for job in plan_of(2).jobs}
    for number in range(20):
        Image.new("RGB", (2, 2)).save(f"photos/0-{number}.png")
    assert ours <= {job.key for job in plan_of(2).jobs}


def plan_of(shard, **more):
    return plan_jobs(["photos"], "x", Placement(output="out", **more), shard=(shard, 2))


def test_variations_of_a_picture_are_in_one_shard(photos):
    keys = [{job.key for job in plan_of(shard, variations=3).jobs} for shard in (1, 2)]
    assert not keys[0] & keys[1]
    assert len(keys[0] | keys[1]) == 4


def test_a_shards_names_are_checked_against_the_whole(photos):
    (photos / "1.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="would both be written"):
        plan_jobs(["photos"], "x", Placement(output="out", format="png"), shard=(1, 2))


def test_what_another_process_is_at_is_put_off_and_then_skipped(photos, monkeypatch):
    """Locks are a process's own, so the other one's are played here."""
    from editar_cli.claims import Claims

    theirs = {"1.png", "2.png"}
    take = Claims.take
    monkeypatch.setattr(Claims, "take", lambda self, name: name not in theirs and take(self, name))
    monkeypatch.setattr("editar_cli.pipeline._PATIENCE", 0.01)
    ledger, other = Ledger(), Ledger()
    placement = Placement(output="out")
    plan = plan_jobs(["photos"], "x", placement, ledger=ledger)
    told = []

    def tell(outcome):
        told.append((outcome.job.source.name, outcome.record()["status"]))
        if len(told) == 2:
            # The other finishes one of its two, and is killed at the other.
            job = plan.jobs[1]
            other.open([job], {})
            theirs.clear()
            run_jobs([job], Inverter(), lambda outcome: None, slots=1, threads=0, ledger=other)

    maker = Inverter()
    ledger.open(plan.jobs, maker.facts)
    run_jobs(plan.jobs, maker, tell, slots=1, threads=0, ledger=ledger)
    ledger.close()
    assert told == [("0.png", "done"), ("3.png", "done"), ("1.png", "skipped"), ("2.png", "done")]
    assert sorted(line["output"] for line in lines()) == ALL


def test_overwriting_leaves_what_another_process_has_overwritten_since(photos):
    run()
    ledger = Ledger(lambda: {"guidance": 3}, on_exists="overwrite")
    placement = Placement(output="out", on_exists="overwrite")
    plan = plan_jobs(["photos"], "x", placement, ledger=ledger)
    ledger.open(plan.jobs, {})
    assert ledger.begin(plan.jobs[0]) is Start.GO
    record = {"status": "done", "dtype": "float32"}
    from editar_cli.manifest import Fingerprint

    source = Fingerprint.of(Path("photos/1.png"))
    ledger.ready(plan.jobs[1], record, source, Path("out/1.png"))
    assert ledger.begin(plan.jobs[1]) is Start.DONE
    assert ledger.begin(plan.jobs[2]) is Start.GO
    ledger.close()


def test_a_folder_that_cannot_be_written_is_told_before_the_first_picture(photos):
    Path("out").write_text("")
    ledger = Ledger()
    plan = plan_jobs(["photos"], "x", Placement(output="out/deep/"), ledger=ledger)
    with pytest.raises(EditarError, match=r"out/deep: cannot be written"):
        ledger.open(plan.jobs, {})


def test_ten_thousand_pictures_are_planned_in_seconds(photos, tmp_path):
    Path("many").mkdir()
    Path("out").mkdir()
    rows = []
    for number in range(10_000):
        name = f"{number}.png"
        Path("many", name).write_bytes(b"a")
        Path("out", name).write_bytes(b"b")
    ledger = Ledger(lambda: {"guidance": 3})
    plan = plan_jobs(["many"], "x", Placement(output="out", on_exists="overwrite"), ledger=ledger)
    from editar_cli.manifest import Fingerprint

    for job in plan.jobs:
        assert job.source and job.output
        source, made = Fingerprint.of(job.source), Fingerprint.of(job.output)
        more = {"output_size": 1, "output_mtime_ns": made.mtime_ns, "output_hash": made.digest}
        rows.append(ledger._line(job, {"status": "done"}, source, more))
    Path("out/manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    start = time.process_time()
    again = plan_jobs(
        ["many"], "x", Placement(output="out"), ledger=Ledger(lambda: {"guidance": 3})
    )
    seconds = time.process_time() - start
    print(f"planned in {seconds:.2f} s of processor time")
    assert len(again.skipped) == 10_000 and not again.jobs
    assert seconds < 5
