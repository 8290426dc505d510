import json
import os
import threading
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from editar_cli import pipeline
from editar_cli.batch import Placement, plan_jobs
from editar_cli.errors import ImageError, ModelError
from editar_cli.images import Source
from editar_cli.lists import Row
from editar_cli.pipeline import Asked, Made, in_words, make_each, run_jobs

SECONDS = 30
"""How long a test waits for another thread before it fails."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with photos/ in it: a.jpg, b2.png, b10.png, notes.txt, deep/c.jpg."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.jpg", "photos/b10.png", "photos/b2.png", "photos/deep/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 8), (10, 20, 30)).save(path)
    (tmp_path / "photos/notes.txt").write_text("no picture")
    return tmp_path


@pytest.fixture
def many(tmp_path, monkeypatch):
    """A working directory with photos/00.png to photos/11.png in it."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(12):
        Image.new("RGB", (12, 8), (10, 20, number)).save(f"photos/{number:02}.png")
    return tmp_path


class FakeEditor:
    """Inverts pictures, all that it has at once in reverse order; has room for so many.

    ``taken`` are the names of those it took, ``batches`` sources, texts and seeds by batch.
    """

    def __init__(self, room=100):
        self.room = room
        self.batches = []
        self.taken = []
        self.facts = {"model": "fake"}

    def picture_seed(self, key, seed=None):
        return sum(key.encode()) if seed is None else 1000 * seed

    def prepare(self, asked):
        return asked.source, asked.text, asked.seed

    def vary(self, prepared, seed):
        source, text, _ = prepared
        return source, text, seed

    def stream(self, prepared, *, slots, on_drawn, on_fewer_slots):
        waiting = self.counted(enumerate(prepared))
        while batch := list(islice(waiting, slots)):
            if len(batch) > self.room:
                raise MemoryError
            self.batches.append([one for _, one in batch])
            for _ in batch:
                on_drawn(0.5)
            for index, (source, _, _) in reversed(batch):
                on_drawn(0.5)
                yield index, 255 - source.pixels

    def counted(self, waiting):
        for item in waiting:
            self.taken.append(item[1][0].name)
            yield item

    def finish(self, prepared, result):
        return Made(pixels=result, like=prepared[0])


class FakeTranslator(FakeEditor):
    """Refuses b2.png; has a note, a map and a preview for all others."""

    def prepare(self, asked):
        if asked.source.name.endswith("b2.png"):
            raise ImageError(f"{asked.source.name}: is no map")
        return super().prepare(asked)

    def finish(self, prepared, result):
        source = prepared[0]
        beside = {"map": source.pixels // 2, "preview": np.zeros((8, 30, 3), np.uint8)}
        like = Source(name=source.name, pixels=source.pixels, format=source.format)
        return Made(pixels=result, like=like, beside=beside, notes=("inverted",))


def make_all(maker, sources, texts, seeds, **more):
    """What comes of sources with their texts and seeds."""
    asked = [
        Asked(source=source, text=text, seed=seed)
        for source, text, seed in zip(sources, texts, seeds, strict=True)
    ]
    return pipeline.make_all(maker, asked, **more)


def run(jobs, maker, slots=2, threads=2, **more):
    """The outcomes that are told."""
    told = []
    run_jobs(jobs, maker, told.append, slots=slots, threads=threads, **more)
    return told


def outcomes(inputs, maker, slots=2, recursive=False, **more):
    plan = plan_jobs(inputs, "invert", Placement(output="out"), recursive=recursive)
    return run(plan.jobs, maker, slots, **more)


@pytest.fixture(params=[0, 1, 3], ids=["no threads", "a thread", "threads"])
def threads(request):
    """Every claim about results holds for any number of threads."""
    return request.param


def test_a_run_writes_each_result_with_its_note(folder, threads):
    editor = FakeEditor()
    results = outcomes(["photos"], editor, recursive=True, threads=threads)
    assert [result.error for result in results] == [None] * 4
    assert [len(batch) for batch in editor.batches] == [2, 2]
    with Image.open("out/b2.png") as image:
        assert image.getpixel((0, 0)) == (245, 235, 225)
        note = image.getexif()[0x000B]
    assert json.loads(note.removeprefix("editar ")) == {
        "model": "fake",
        "instruction": "invert",
        "seed": sum(b"b2.png"),
    }


def test_outcomes_are_told_in_the_order_of_the_jobs_when_their_files_are_there(many, threads):
    told = []

    def tell(outcome):
        assert outcome.job.output.is_file()
        told.append(outcome.job.source.name)

    jobs = plan_jobs(["photos"], "x", Placement(output="out")).jobs
    run_jobs(jobs, FakeEditor(), tell, slots=5, threads=threads)
    assert told == [f"{number:02}.png" for number in range(12)]


def test_a_bad_picture_is_a_line_and_not_the_end(folder, threads):
    (folder / "photos/b2.png").write_bytes(b"broken")
    results = outcomes(["photos"], FakeEditor(), slots=8, threads=threads)
    assert [result.error is None for result in results] == [True, False, True]
    assert "photos/b2.png" in results[1].error
    assert sorted(os.listdir("out")) == ["a.jpg", "b10.png"]
    record = json.loads(results[1].to_json())
    assert record["status"] == "failed"
    assert record["output"] == "out/b2.png"


def test_a_result_that_cannot_be_written_fails_alone(folder, threads):
    (folder / "out/b2.png").mkdir(parents=True)
    plan = plan_jobs(["photos"], "x", Placement(output="out", on_exists="overwrite"))
    results = run(plan.jobs, FakeEditor(), slots=8, threads=threads)
    assert [result.error is None for result in results] == [True, False, True]


def test_what_the_maker_refuses_fails_alone_and_notes_are_passed_on(folder, threads):
    plan = plan_jobs(["photos"], "", Placement(output="out"), asked="caption")
    results = run(plan.jobs, FakeTranslator(), slots=8, threads=threads)
    assert [result.error for result in results] == [None, "photos/b2.png: is no map", None]
    assert [result.notes for result in results] == [("inverted",), (), ("inverted",)]
    done, failed, _ = (json.loads(result.to_json()) for result in results)
    assert (done["status"], done["notes"], done["caption"]) == ("done", ["inverted"], "")
    assert "notes" not in failed


@pytest.mark.parametrize("verb", ["prepare", "finish"])
@pytest.mark.parametrize("error", [ImageError("b2: no"), MemoryError()])
def test_what_cannot_be_prepared_or_finished_fails_alone(folder, threads, verb, error, monkeypatch):
    editor = FakeEditor()
    real = getattr(editor, verb)

    def fail(first, *more):
        source = first.source if verb == "prepare" else first[0]
        if source.name.endswith("b2.png"):
            raise error
        return real(first, *more)

    monkeypatch.setattr(editor, verb, fail)
    results = outcomes(["photos"], editor, threads=threads)
    assert [result.error is None for result in results] == [True, False, True]
    expected = "b2: no" if isinstance(error, ImageError) else "b2.png: memory ran out"
    assert expected in results[1].error


def test_maps_and_previews_are_written_with_the_result(folder):
    placement = Placement(output="out", maps=Path("maps"), preview=True)
    plan = plan_jobs(["photos/a.jpg", "photos/b10.png"], "x", placement, asked="caption")
    results = run(plan.jobs, FakeTranslator(), slots=8)
    assert [result.error for result in results] == [None, None]
    assert sorted(os.listdir("maps")) == ["a.png", "b10.png"]
    assert sorted(os.listdir("out")) == [
        "a.jpg",
        "a.preview.jpg",
        "b10.png",
        "b10.preview.png",
    ]
    with Image.open("maps/b10.png") as image:
        assert image.getpixel((0, 0)) == (5, 10, 15)
        assert json.loads(image.getexif()[0x000B].removeprefix("editar "))["caption"] == "x"
    with Image.open("out/a.preview.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (30, 8))


def test_a_result_is_not_written_where_its_map_cannot_be(folder):
    Path("maps").write_text("a file")
    plan = plan_jobs(["photos/a.jpg"], "x", Placement(output="out", maps=Path("maps")))
    (result,) = run(plan.jobs, FakeTranslator())
    assert "maps/a.png" in result.error
    assert not Path("out/a.jpg").exists()


def test_a_row_with_a_seed_of_its_own_is_made_with_it(folder):
    listed = [
        Row(image=Path("photos/a.jpg"), key="a.jpg", text="x", seed=5),
        Row(image=Path("photos/b2.png"), key="b2.png", text="y"),
    ]
    editor = FakeEditor()
    plan = plan_jobs([], None, Placement(output="out"), rows=listed)
    results = run(plan.jobs, editor, slots=8)
    assert [result.seed for result in results] == [5000, sum(b"b2.png")]
    (batch,) = editor.batches
    assert [(text, seed) for _, text, seed in batch] == [("x", 5000), ("y", sum(b"b2.png"))]


def test_fewer_pictures_at_once_are_told_and_kept_where_one_is_too_much(folder, threads):
    class Shrinking(FakeEditor):
        """Has memory for one picture, and not for b2.png."""

        started = ()

        def stream(self, prepared, *, slots, on_drawn, on_fewer_slots):
            self.started = (*self.started, slots)
            if slots > 1:
                on_fewer_slots(1)
            for index, (source, _, _) in enumerate(prepared):
                if source.name.endswith("b2.png"):
                    raise MemoryError
                yield index, 255 - source.pixels

    editor, told = Shrinking(), []
    results = outcomes(["photos"], editor, slots=3, threads=threads, on_fewer_slots=told.append)
    assert told == [1]
    assert editor.started == (3, 1)
    assert [result.error is None for result in results] == [True, False, True]
    assert "smaller model" in results[1].error


def test_when_every_picture_is_too_much_each_says_what_would_help(folder, threads):
    results = outcomes(["photos"], FakeEditor(room=0), slots=1, threads=threads)
    assert len(results) == 3
    for result in results:
        assert result.error.startswith(result.job.source_name)
        assert "smaller model" in result.error


def test_no_memory_before_any_picture_comes_is_no_endless_loop(folder):
    class Full(FakeEditor):
        def stream(self, prepared, **more):
            raise MemoryError
            yield

    results = outcomes(["photos"], Full())
    assert ["smaller model" in result.error for result in results] == [True] * 3


def test_pictures_that_were_under_way_start_again_after_one_that_was_too_much(many):
    class Picky(FakeEditor):
        """Takes four and has no memory for 05.png; gives out the others from the last on."""

        def stream(self, prepared, *, slots, on_drawn, on_fewer_slots):
            waiting = enumerate(prepared)
            while batch := list(islice(waiting, slots)):
                if any(one[0].name.endswith("05.png") for _, one in batch):
                    first = batch[0][1][0].name
                    if not first.endswith("05.png"):
                        # What came before it is finished first, as the engine does.
                        index, one = batch[0]
                        yield index, 255 - one[0].pixels
                        waiting = iter([*batch[1:], *waiting])
                        continue
                    raise MemoryError
                for index, (source, _, _) in reversed(batch):
                    yield index, 255 - source.pixels

    results = outcomes(["photos"], Picky(), slots=4)
    assert [result.job.key for result in results] == [f"{n:02}.png" for n in range(12)]
    assert [result.error is None for result in results] == [n != 5 for n in range(12)]
    for number in set(range(12)) - {5}:
        with Image.open(f"out/{number:02}.png") as image:
            assert image.getpixel((0, 0))[2] == 255 - number


def test_seeds_depend_on_the_path_below_the_folder_only(folder):
    seeds = {result.job.key: result.seed for result in outcomes(["photos"], FakeEditor())}
    (single,) = run(plan_jobs(["photos/a.jpg"], "x", Placement()).jobs, FakeEditor(), slots=1)
    assert seeds["a.jpg"] == single.seed


def test_progress_is_counted_in_pictures(folder, threads):
    (folder / "photos/b10.png").write_bytes(b"broken")
    seen = []
    outcomes(
        ["photos"],
        FakeEditor(),
        recursive=True,
        threads=threads,
        on_progress=lambda done, stages: seen.append((done, in_words(stages))),
        doing="inverting",
    )
    stages = {part.split()[0] for _, what in seen for part in what.split(", ") if part}
    assert "inverting" in stages <= {"inverting", "reading", "writing", "failed"}
    done = [done for done, _ in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0.5, 4)
    assert {0.5, 1, 1.5, 2} <= set(done)


def test_seconds_are_shared_by_pictures_in_the_model_together(many, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("editar_cli.pipeline.time.perf_counter", lambda: now[0])

    class Timed(FakeEditor):
        """12 s in the model for every two pictures, 1 s to prepare and 2 s to finish each."""

        def prepare(self, asked):
            now[0] += 1
            return super().prepare(asked)

        def stream(self, prepared, **more):
            waiting = enumerate(prepared)
            while batch := list(islice(waiting, 2)):
                now[0] += 12
                yield from ((index, one[0].pixels) for index, one in batch)

        def finish(self, prepared, result):
            now[0] += 2
            return super().finish(prepared, result)

    results = outcomes(["photos"], Timed(), threads=0)
    assert [result.seconds for result in results] == [9.0] * 12
    assert now[0] == sum(result.seconds for result in results)


def test_standard_streams_carry_the_bytes(folder, monkeypatch, threads):
    class Stream:
        def __init__(self, data=b""):
            self.buffer = BytesIO(data)

    monkeypatch.setattr("sys.stdin", Stream(Path("photos/b2.png").read_bytes()))
    out = Stream()
    monkeypatch.setattr("sys.stdout", out)
    jobs = plan_jobs(["-"], "x", Placement()).jobs
    (result,) = run(jobs, FakeEditor(), slots=4, threads=threads)
    assert result.error is None
    image = Image.open(BytesIO(out.buffer.getvalue()))
    assert image.format == "PNG"
    assert np.array_equal(np.asarray(image)[0, 0], [245, 235, 225])


def test_standard_input_is_read_and_standard_output_written_by_the_main_thread(folder, monkeypatch):
    class Stream(BytesIO):
        threads = ()

        def read(self, *more):
            self.threads = (*self.threads, threading.current_thread())
            return super().read(*more)

        def write(self, data):
            self.threads = (*self.threads, threading.current_thread())
            return super().write(data)

    stdin, stdout = Stream(Path("photos/b2.png").read_bytes()), Stream()
    monkeypatch.setattr("sys.stdin", type("In", (), {"buffer": stdin}))
    monkeypatch.setattr("sys.stdout", type("Out", (), {"buffer": stdout}))
    run(plan_jobs(["-"], "x", Placement()).jobs, FakeEditor(), threads=2)
    assert set(stdin.threads) == set(stdout.threads) == {threading.main_thread()}


def test_an_empty_standard_input_is_a_failure(monkeypatch, folder):
    monkeypatch.setattr("sys.stdin", type("In", (), {"buffer": BytesIO()}))
    (result,) = run(plan_jobs(["-"], "x", Placement(output="o.png")).jobs, FakeEditor())
    assert result.error == "standard input: is empty"


# What happens at the same time.


def test_a_slow_writer_does_not_keep_the_model_waiting(many):
    class SlowWriter(FakeEditor):
        """Finishes the first picture once the model has taken the fourth."""

        fourth = threading.Event()

        def counted(self, waiting):
            for item in super().counted(waiting):
                if len(self.taken) == 4:
                    self.fourth.set()
                yield item

        def finish(self, prepared, result):
            if prepared[0].name.endswith("00.png"):
                assert self.fourth.wait(SECONDS)
            return super().finish(prepared, result)

    results = outcomes(["photos"], SlowWriter(), slots=1, threads=2)
    assert [result.error for result in results] == [None] * 12


def test_pictures_are_read_while_the_model_works(many):
    class Watching(FakeEditor):
        """Gives out its first picture once two more are prepared."""

        third = threading.Event()
        count = 0

        def prepare(self, asked):
            if asked.source.name.endswith("02.png"):
                self.third.set()
            return super().prepare(asked)

        def stream(self, prepared, **more):
            for index, (source, _, _) in enumerate(prepared):
                if index == 0:
                    assert self.third.wait(SECONDS)
                yield index, source.pixels

    assert len(outcomes(["photos"], Watching(), slots=1, threads=2)) == 12


def test_an_outcome_is_told_while_the_model_works_on_other_pictures(many):
    told, written = [], threading.Event()

    class Telling(FakeEditor):
        """Draws on at the second picture until the first has been told."""

        def stream(self, prepared, *, slots, on_drawn, on_fewer_slots):
            for index, (source, _, _) in enumerate(prepared):
                if index == 1:
                    assert written.wait(SECONDS)
                    for _ in range(SECONDS * 1000):
                        on_drawn(0.0)
                        if told:
                            break
                        threading.Event().wait(0.001)
                    assert [outcome.job.key for outcome in told] == ["00.png"]
                yield index, source.pixels

        def finish(self, prepared, result):
            written.set()
            return super().finish(prepared, result)

    jobs = plan_jobs(["photos"], "x", Placement(output="out")).jobs
    run_jobs(jobs, Telling(), told.append, slots=1, threads=1)
    assert len(told) == 12


@pytest.mark.parametrize("slots", [1, 4])
def test_only_a_few_pictures_are_held_whatever_their_number(many, threads, slots):
    lock = threading.Lock()
    held = most = 0

    class Counting(FakeEditor):
        def prepare(self, asked):
            nonlocal held, most
            with lock:
                held += 1
                most = max(most, held)
            return super().prepare(asked)

        def finish(self, prepared, result):
            nonlocal held
            made = super().finish(prepared, result)
            with lock:
                held -= 1
            return made

    jobs = plan_jobs(["photos"], "x", Placement(output="out", on_exists="overwrite")).jobs * 5
    run(jobs, Counting(), slots=slots, threads=threads)
    assert held == 0
    # Ahead of the model, in it, and behind it.
    assert most <= (threads + 1) + slots + (threads + 1)
    if not threads:
        assert most <= slots + 1


def test_nothing_is_read_ahead_of_a_model_that_does_not_go_on(many):
    read = []

    class Stopped(FakeEditor):
        def prepare(self, asked):
            read.append(asked.source.name)
            return super().prepare(asked)

        def stream(self, prepared, **more):
            waiting = iter(prepared)
            next(waiting)
            while len(read) < 3:
                threading.Event().wait(0.001)
            threading.Event().wait(0.05)
            assert len(read) == 3
            yield from ((index + 1, one[0].pixels) for index, one in enumerate(waiting))
            yield 0, np.zeros((8, 12, 3), np.uint8)

    assert len(outcomes(["photos"], Stopped(), slots=1, threads=2)) == 12


@pytest.mark.parametrize("verb", ["prepare", "finish"])
@pytest.mark.parametrize("error", [ModelError("no weights"), AssertionError("a mistake")])
def test_an_error_that_is_not_the_pictures_ends_the_run(many, threads, verb, error, monkeypatch):
    editor = FakeEditor()
    real = getattr(editor, verb)

    def fail(first, *more):
        source = first.source if verb == "prepare" else first[0]
        if source.name.endswith("05.png"):
            raise error
        return real(first, *more)

    monkeypatch.setattr(editor, verb, fail)
    told = []
    jobs = plan_jobs(["photos"], "x", Placement(output="out")).jobs
    with pytest.raises(type(error)) as raised:
        run_jobs(jobs, editor, told.append, slots=1, threads=threads)
    assert raised.value is error
    assert [outcome.job.key for outcome in told] == [f"{n:02}.png" for n in range(len(told))]
    assert len(told) <= 5
    assert not list(Path("out").glob(".*"))


@pytest.mark.parametrize("where", ["model", "telling"])
def test_a_run_that_is_interrupted_keeps_what_is_finished_and_no_halves(many, threads, where):
    class Interrupted(FakeEditor):
        def stream(self, prepared, *, on_drawn, **more):
            for index, (source, _, _) in enumerate(prepared):
                if index == 5 and where == "model":
                    raise KeyboardInterrupt
                yield index, 255 - source.pixels

        def finish(self, prepared, result):
            finished.append(Path(prepared[0].name).name)
            return super().finish(prepared, result)

    def tell(outcome):
        if where == "telling" and outcome.job.key == "03.png":
            raise KeyboardInterrupt

    finished = []
    jobs = plan_jobs(["photos"], "x", Placement(output="out")).jobs
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, Interrupted(), tell, slots=1, threads=threads)
    # All that left the model is there, whole, and nothing else.
    assert sorted(finished) == sorted(os.listdir("out"))
    assert len(finished) == 5 if where == "model" else 4 <= len(finished) < 12
    for name in finished:
        with Image.open(f"out/{name}") as image:
            image.load()


def test_fail_fast_stops_before_the_next_picture_enters_the_model(folder, threads):
    (folder / "photos/b2.png").write_bytes(b"broken")
    editor = FakeEditor()
    results = outcomes(["photos"], editor, slots=1, threads=threads, most_failures=1)
    assert [result.error is None for result in results] == [True, False]
    assert editor.taken == ["photos/a.jpg"]
    assert os.listdir("out") == ["a.jpg"]


def test_fail_fast_tells_what_is_written_already(many, threads):
    class Failing(FakeEditor):
        def finish(self, prepared, result):
            if prepared[0].name.endswith("02.png"):
                raise ImageError("02: no")
            return super().finish(prepared, result)

    results = outcomes(["photos"], Failing(), slots=4, threads=threads, most_failures=1)
    assert [result.job.key for result in results if result.error] == ["02.png"]
    told = [result.job.key for result in results if not result.error]
    assert sorted(told) == sorted(os.listdir("out"))
    assert len(told) < 11


# Pictures that are at hand.


def sources(count):
    return [Source(name=f"{i}.png", pixels=np.full((4, 4, 3), i, np.uint8)) for i in range(count)]


def test_pictures_at_hand_come_back_in_their_order():
    made = make_all(FakeEditor(), sources(5), ["x"] * 5, list(range(5)), slots=3)
    assert [int(one.pixels[0, 0, 0]) for one in made] == [255, 254, 253, 252, 251]


def test_pictures_at_hand_that_are_refused_have_their_error_in_their_place():
    given = sources(4)
    given[1] = Source(name="b2.png", pixels=given[1].pixels)
    made = make_all(FakeTranslator(), given, [""] * 4, [0] * 4, slots=2)
    assert [isinstance(one, ImageError) for one in made] == [False, True, False, False]
    assert int(made[3].pixels[0, 0, 0]) == 252


def test_pictures_at_hand_are_taken_as_the_model_asks_for_them():
    taken = []

    def pictures():
        for source in sources(9):
            taken.append(source.name)
            yield Asked(source=source, text="x", seed=0)

    editor, drawn = FakeEditor(), []
    each = make_each(editor, pictures(), slots=2, on_drawn=drawn.append)
    next(each)
    assert len(taken) == 2
    assert sorted(number for number, _ in each) == [0, *range(2, 9)]
    assert sum(drawn) == 9


def test_pictures_at_hand_that_are_too_much_raise():
    with pytest.raises(MemoryError):
        make_all(FakeEditor(room=0), sources(2), ["x"] * 2, [0, 1])


class CountingEditor(FakeEditor):
    """Counts what it prepares."""

    def __init__(self):
        super().__init__()
        self.prepared = []

    def prepare(self, asked):
        self.prepared.append(asked.source.name)
        return super().prepare(asked)


def test_the_variations_of_a_picture_are_read_and_prepared_once(many, threads):
    editor = CountingEditor()
    plan = plan_jobs(["photos"], "invert", Placement(output="out", variations=3))
    results = run(plan.jobs, editor, threads=threads)
    assert len(results) == 36 and not any(result.error for result in results)
    assert sorted(editor.prepared) == [f"photos/{number:02}.png" for number in range(12)]
    assert [result.seed for result in results[:3]] == [
        editor.picture_seed(key) for key in ("00.png", "00.png#1", "00.png#2")
    ]
    seeds = {one[2] for batch in editor.batches for one in batch}
    assert seeds == {result.seed for result in results}, "each with its own seed"
    assert Path("out/11-3.png").is_file()


def test_variations_that_are_missing_are_read_once_too(many, threads):
    plan = plan_jobs(["photos/00.png"], "invert", Placement(output="out", variations=3))
    run(plan.jobs, FakeEditor(), threads=threads)
    whole = Path("out/00-2.png").read_bytes()
    for name in ("out/00-2.png", "out/00-3.png"):
        Path(name).unlink()
    editor = CountingEditor()
    plan = plan_jobs(["photos/00.png"], "invert", Placement(output="out", variations=3))
    results = run(plan.jobs, editor, threads=threads)
    assert editor.prepared == ["photos/00.png"]
    assert [json.loads(result.to_json())["variation"] for result in results] == [2, 3]
    assert Path("out/00-2.png").read_bytes() == whole


def test_every_variation_of_a_bad_picture_fails(many, threads):
    Path("photos/03.png").write_bytes(b"no picture")
    plan = plan_jobs(["photos"], "invert", Placement(output="out", variations=2))
    results = run(plan.jobs, FakeEditor(), threads=threads)
    failed = [result.job.output_name for result in results if result.error]
    assert failed == ["out/03-1.png", "out/03-2.png"]


def test_standard_input_serves_all_variations(folder, monkeypatch):
    data = Path("photos/b2.png").read_bytes()
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(data)))
    plan = plan_jobs(["-"], "invert", Placement(output="out.png", variations=2))
    assert not any(result.error for result in run(plan.jobs, FakeEditor()))
    assert Path("out-1.png").is_file() and Path("out-2.png").is_file()
