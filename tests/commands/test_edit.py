"""`editar edit` with a tiny real model."""

import json
import os
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from editar_cli.embedded import embedded_folder
from editar_cli.metadata import how_made
from tests.conftest import subprocess_settings


def photo(path, width=60, height=40, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def edit(call_editar, tiny_bundle):
    """`editar edit ARGS... --model TINY`."""

    def run(*args, **more):
        return call_editar("edit", *args, "--model", tiny_bundle, "--device", "cpu", **more)

    return run


def test_one_picture_goes_beside_itself_and_its_path_is_printed(run_editar, tiny_bundle, tmp_path):
    photo(tmp_path / "in.jpg")
    result = run_editar("edit", "in.jpg", "make it snowy", "--model", tiny_bundle)
    assert result.returncode == 0, result.stderr
    assert result.stdout == b"in.edited.jpg\n"
    with Image.open(tmp_path / "in.edited.jpg") as image:
        assert image.size == (60, 40)
        note = json.loads(image.getexif()[0x000B].removeprefix("editar "))
    assert note["model"] == "tiny"
    assert note["instruction"] == "make it snowy"
    assert note["guidance"] == 2.0
    assert note["dtype"] == "float32"


def test_a_folder_of_mixed_files_is_done_as_far_as_it_can_be(edit, tmp_path):
    for i, name in enumerate(("a.jpg", "b.png", "deep/c.webp")):
        photo(tmp_path / "photos" / name, seed=i)
    (tmp_path / "photos/bad.jpg").write_bytes(b"no picture")
    (tmp_path / "photos/notes.txt").write_text("none either")
    result = edit("photos", "at night", "-r", "-o", "out", "--batch-size", "2")
    assert result.returncode == 1
    assert result.stdout.decode().split() == ["out/a.jpg", "out/b.png", "out/deep/c.webp"]
    assert b"photos/bad.jpg: not a picture" in result.stderr
    assert b"1 of 4 pictures failed" in result.stderr
    again = edit("photos", "at night", "-r", "-o", "out", "--json")
    assert again.returncode == 1
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    assert [line["status"] for line in lines] == ["skipped"] * 3 + ["failed"]
    assert b"skipped" in again.stderr


def test_pictures_do_not_depend_on_batch_size_order_or_company(edit, tmp_path):
    for i in range(5):
        photo(tmp_path / f"photos/{i}.png", 40 + i, 30, seed=i)
    common = ("-r", "--seed", "3")
    assert (
        edit("photos", "make it snowy", *common, "-o", "one", "--batch-size", "1").returncode == 0
    )
    assert (
        edit("photos", "make it snowy", *common, "-o", "all", "--batch-size", "8").returncode == 0
    )
    some = edit("photos/4.png", "photos/1.png", "make it snowy", "--seed", "3", "-o", "some/")
    assert some.returncode == 0
    for i in range(5):
        data = (tmp_path / f"one/{i}.png").read_bytes()
        assert data == (tmp_path / f"all/{i}.png").read_bytes()
        if i in (1, 4):
            assert data == (tmp_path / f"some/{i}.png").read_bytes()


def test_another_seed_gives_another_picture(edit, tmp_path):
    photo(tmp_path / "in.png")
    pictures = set()
    for seed in ("1", "2", "1"):
        name = f"{seed}.png"
        edit("in.png", "make it snowy", "--seed", seed, "-o", name, "--overwrite")
        pictures.add(np.asarray(Image.open(tmp_path / name)).tobytes())
    assert len(pictures) == 2


def test_a_pipe_carries_pictures_only(run_editar, tiny_bundle, tmp_path):
    data = photo(tmp_path / "in.jpg").read_bytes()
    model = {"EDITAR_MODEL": str(tiny_bundle)}
    first = run_editar("edit", "-", "at night", "-o", "-", input=data, env=model)
    assert first.returncode == 0, first.stderr
    words = ("edit", "-", "make it snowy", "-o", "-", "--format", "png")
    second = run_editar(*words, input=first.stdout, env=model)
    assert second.returncode == 0, second.stderr
    with Image.open(BytesIO(second.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (60, 40))


def test_the_models_own_square_and_the_models_own_pixels(edit, tmp_path):
    photo(tmp_path / "in.png")
    assert edit("in.png", "x", "--size", "model", "-o", "square.png").returncode == 0
    assert edit("in.png", "x", "--no-preserve", "-o", "large.png").returncode == 0
    assert edit("in.png", "x", "-o", "kept.png").returncode == 0
    square, large, kept = (Image.open(tmp_path / f"{n}.png") for n in ("square", "large", "kept"))
    assert square.size == (32, 32)
    assert large.size == kept.size == (60, 40)
    assert not np.array_equal(np.asarray(large), np.asarray(kept))


def test_in_place_replaces_the_picture(edit, tmp_path):
    before = photo(tmp_path / "in.png").read_bytes()
    assert edit("in.png", "x", "--in-place").returncode == 0
    assert (tmp_path / "in.png").read_bytes() != before
    assert os.listdir(tmp_path) == ["in.png"]


def test_a_dry_run_writes_nothing_and_loads_no_torch(run_editar, tmp_path):
    photo(tmp_path / "photos/a.jpg")
    result = run_editar("edit", "photos", "x", "--dry-run", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.returncode == 0
    assert result.stdout == b"photos/a.jpg -> photos.edited/a.jpg\n"
    assert b" torch" not in result.stderr
    assert not (tmp_path / "photos.edited").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["in.jpg"], "no instruction"),
        (["make it snowy"], "no picture"),
        (["none.jpg", "make it snowy"], "no such file"),
        (["in.jpg", "make", "it", "snowy"], "quotes"),
        (["in.jpg", "x", "-o", "in.jpg"], "--in-place"),
        (["in.jpg", "x", "--overwrite", "--on-exists", "error"], "--overwrite and --on-exists"),
        (["in.jpg", "x", "--batch-size", "0"], "--batch-size 0"),
        (["in.jpg", "x", "--top-p", "2"], "--top-p 2.0"),
        (["in.jpg", "x", "--guidance", "-1"], "--guidance -1.0"),
        (["in.jpg", "x", "-o", "-", "--json"], "--json"),
        (["in.jpg", "x", "--seed", "many"], "--seed"),
        (["in.jpg", "x", "--no-such-flag"], "--no-such-flag"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_which_word(edit, tmp_path, args, said):
    photo(tmp_path / "in.jpg")
    result = edit(*args)
    assert result.returncode == 2
    assert said in result.stderr.decode()
    assert b"Traceback" not in result.stderr
    assert result.stdout == b""


def test_a_model_that_cannot_be_loaded_is_exit_code_3(call_editar, tmp_path):
    photo(tmp_path / "in.jpg")
    (tmp_path / "empty").mkdir()
    result = call_editar("edit", "in.jpg", "x", "--model", tmp_path / "empty")
    assert result.returncode == 3
    assert b"config.json" in result.stderr
    assert b"Traceback" not in result.stderr


def test_fail_fast_stops_at_the_first_failure(edit, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"bad")
    photo(tmp_path / "photos/b.jpg")
    result = edit("photos", "x", "-o", "out", "--fail-fast", "--batch-size", "1")
    assert result.returncode == 1
    assert os.listdir(tmp_path / "out") == ["manifest.jsonl"]


def test_quiet_says_nothing_but_results_and_verbose_says_the_seed(edit, tmp_path):
    photo(tmp_path / "photos/a.jpg")
    quiet = edit("photos", "x", "-q")
    assert (quiet.stdout, quiet.stderr) == (b"photos.edited/a.jpg\n", b"")
    verbose = edit("photos", "x", "-v", "--overwrite")
    assert b"seed" in verbose.stderr


def test_settings_come_from_the_environment_and_flags_win(edit, tmp_path):
    photo(tmp_path / "in.png")
    edit("in.png", "x", "-o", "a.png", env={"EDITAR_GUIDANCE": "5", "EDITAR_SEED": "4"})
    edit("in.png", "x", "-o", "b.png", "--guidance", "6", env={"EDITAR_GUIDANCE": "5"})
    notes = [Image.open(tmp_path / name).getexif()[0x000B] for name in ("a.png", "b.png")]
    assert '"guidance": 5.0' in notes[0]
    assert '"guidance": 6.0' in notes[1]


def note(path):
    with Image.open(path) as image:
        return json.loads(image.getexif()[0x000B].removeprefix("editar "))


def test_a_plain_list_is_edited_by_one_instruction_and_keeps_its_paths(edit, tmp_path):
    for name in ("a.png", "deep/b.png", "c.png"):
        photo(tmp_path / name, 20, 20)
    (tmp_path / "list.txt").write_text("a.png\ndeep/b.png\n")
    result = edit("--from-file", "list.txt", "c.png", "at night", "-o", "out")
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().split() == ["out/a.png", "out/deep/b.png", "out/c.png"]
    assert {note(tmp_path / "out" / name)["instruction"] for name in ("a.png", "deep/b.png")} == {
        "at night"
    }


def test_rows_of_a_csv_have_instruction_seed_and_output_of_their_own(edit, tmp_path):
    for name in ("a.png", "b.png"):
        photo(tmp_path / name, 20, 20)
    (tmp_path / "list.csv").write_text(
        'image,instruction,seed,output\na.png,"snow, please",7,x/1.png\nb.png,at night,,\n'
    )
    result = edit("--from-file", "list.csv", "--seed", "3")
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().split() == ["x/1.png", "b.edited.png"]
    assert note(tmp_path / "x/1.png")["instruction"] == "snow, please"
    assert note(tmp_path / "b.edited.png")["instruction"] == "at night"
    edit("a.png", "snow, please", "--seed", "7", "-o", "same.png")
    same, listed = (np.asarray(Image.open(tmp_path / name)) for name in ("same.png", "x/1.png"))
    assert np.array_equal(same, listed)


def test_rows_of_json_lines_fill_up_from_the_command_line(edit, tmp_path):
    for name in ("a.png", "b.png"):
        photo(tmp_path / name, 20, 20)
    (tmp_path / "list.jsonl").write_text(
        '{"image": "a.png", "instruction": "make it snowy"}\n{"image": "b.png"}\n'
    )
    result = edit("--from-file", "list.jsonl", "at night", "-o", "out", "--json")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["instruction"] for line in lines] == ["make it snowy", "at night"]
    assert [line["output"] for line in lines] == ["out/a.png", "out/b.png"]


def test_a_list_from_standard_input(edit, tmp_path):
    photo(tmp_path / "a.png", 20, 20)
    result = edit("--from-file", "-", "at night", input=b"a.png\n")
    assert (result.returncode, result.stdout) == (0, b"a.edited.png\n")
    wrong = edit("--from-file", "-", input=b"image,instruction\nnone.png,x\n")
    assert wrong.returncode == 2
    assert b"standard input:2: none.png: no such file" in wrong.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,instruction\nin.jpg,x\nnone.jpg,y\n", "list.csv:3: none.jpg: no such file"),
        ("image,instruction,seed\nin.jpg,x,much\n", "list.csv:2: seed 'much'"),
        ("image,instruction,mask\nin.jpg,x,m.png\n", "list.csv:2: m.png: no such file"),
        ("image,seed\nin.jpg,1\n", "no instruction"),
        ("image,output\n", "names no pictures"),
    ],
)
def test_a_wrong_list_is_exit_code_2_and_says_which_line(edit, tmp_path, text, said):
    photo(tmp_path / "in.jpg", 20, 20)
    (tmp_path / "list.csv").write_text(text)
    result = edit("--from-file", "list.csv")
    assert result.returncode == 2
    assert said in result.stderr.decode()
    assert b"Traceback" not in result.stderr


def start(tiny_bundle, tmp_path, *args):
    return subprocess.Popen(
        [sys.executable, "-m", "editar_cli", "edit", *args, "--model", str(tiny_bundle)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=subprocess_settings(),
        # A suite started in the background ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_keeps_what_is_finished_and_prints_the_command_to_go_on(
    tiny_bundle, tmp_path, sign, code
):
    for i in range(300):
        photo(tmp_path / f"photos/{i}.png", 8, 8, seed=i)
    process = start(tiny_bundle, tmp_path, "photos", "make it snowy", "--batch-size", "1")
    assert process.stdout.readline() == b"photos.edited/0.png\n"
    process.send_signal(sign)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"editar edit photos 'make it snowy' --batch-size 1" in errors
    assert b"Traceback" not in errors
    left = os.listdir(tmp_path / "photos.edited")
    assert 1 <= len(left) < 300
    assert not [name for name in left if name.endswith(".part")]


def test_a_reader_that_goes_away_is_no_traceback(tiny_bundle, tmp_path):
    for i in range(5):
        photo(tmp_path / f"photos/{i}.png", 8, 8, seed=i)
    process = start(tiny_bundle, tmp_path, "photos", "make it snowy", "--batch-size", "1")
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(60) == 1
    assert b"Traceback" not in errors
    assert b"BrokenPipe" not in errors


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.skipif(embedded_folder() is None, reason="this checkout has no embedded model yet")
@pytest.mark.parametrize(
    ("picture", "instruction", "claim"),
    [
        # Brightness over that of the source, and colourfulness over that of the source.
        ("mountain.jpg", "make it snowy", lambda light, colour: light > 1.3 and colour < 0.6),
        ("city.jpg", "at night", lambda light, colour: light < 0.5),
        ("coast.jpg", "black and white", lambda light, colour: colour < 0.05),
    ],
)
def test_the_embedded_model_follows_the_instruction(
    run_editar, tmp_path, picture, instruction, claim
):
    result = run_editar("edit", str(EXAMPLES / picture), instruction, "-o", "out.png")
    assert result.returncode == 0, result.stderr
    source, edited = (
        np.asarray(Image.open(path).convert("RGB"), np.float64)
        for path in (EXAMPLES / picture, tmp_path / "out.png")
    )
    assert edited.shape == source.shape
    assert claim(edited.mean() / source.mean(), np.ptp(edited, 2).mean() / np.ptp(source, 2).mean())


def test_variations_are_pictures_of_their_own(edit, tmp_path):
    photo(tmp_path / "in.png")
    result = edit("in.png", "make it snowy", "--variations", "3", "--json")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["output"] for line in lines] == [f"in.edited-{n}.png" for n in (1, 2, 3)]
    assert [line["variation"] for line in lines] == [1, 2, 3]
    assert len({line["seed"] for line in lines}) == 3
    data = [(tmp_path / line["output"]).read_bytes() for line in lines]
    assert len(set(data)) == 3
    assert edit("in.png", "make it snowy", "-o", "alone.png").returncode == 0
    assert (tmp_path / "alone.png").read_bytes() == data[0], "the first is the picture alone"
    assert edit("in.png", "make it snowy", "--variations", "3", "--batch-size", "1", "-o",
                "slow/").returncode == 0  # fmt: skip
    assert [(tmp_path / f"slow/in-{n}.png").read_bytes() for n in (1, 2, 3)] == data


def test_a_folder_with_variations_is_no_input_of_the_next_run(edit, tmp_path):
    photo(tmp_path / "photos/a.png")
    assert edit("photos/a.png", "at night", "--variations", "2").returncode == 0
    again = edit("photos", "at night", "--dry-run")
    assert again.stdout.decode().splitlines() == ["photos/a.png -> photos.edited/a.png"]


def test_variations_need_names_before_a_model_loads(call_editar, tmp_path):
    photo(tmp_path / "in.png")
    for more, message in (
        (("-o", "-"), b"--variations and -o -"),
        (("--in-place",), b"--in-place and --variations"),
        (("--name", "{stem}.png"), b"put {variation} into it"),
    ):
        result = call_editar("edit", "in.png", "x", "--variations", "2", "--model", "none", *more)
        assert result.returncode == 2 and message in result.stderr


def test_a_frame_of_an_animation_is_edited_and_the_note_says_which(edit, tmp_path):
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    refused = edit("in.gif", "at night")
    assert refused.returncode == 1
    assert b"in.gif: holds 2 frames or pages; --frame N takes one, from 1" in refused.stderr
    assert edit("in.gif", "at night", "--frame", "3").returncode == 1
    assert edit("in.gif", "at night", "--frame", "0").returncode == 2
    assert edit("in.gif", "at night", "--frame", "2", "-o", "out.png").returncode == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (60, 40)
        assert json.loads(image.text["editar"])["frame"] == 2


def test_a_damaged_picture_is_edited_where_it_is_allowed_with_a_note(edit, tmp_path):
    data = photo(tmp_path / "in.jpg", 300, 200).read_bytes()
    (tmp_path / "in.jpg").write_bytes(data[: len(data) // 2])
    refused = edit("in.jpg", "at night")
    assert refused.returncode == 1
    assert b"damaged or cut short" in refused.stderr and b"--allow-truncated" in refused.stderr
    done = edit("in.jpg", "at night", "--allow-truncated", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["notes"] == [
        "is damaged or cut short: parts of it are filled in"
    ]


def test_the_limit_of_pixels_can_be_set(edit, tmp_path):
    photo(tmp_path / "in.jpg")
    refused = edit("in.jpg", "at night", "--max-pixels", "2399")
    assert refused.returncode == 1
    assert b"60 x 40 pixels are more than the 2399 that --max-pixels allows" in refused.stderr
    assert edit("in.jpg", "at night", "--max-pixels", "2400").returncode == 0


def test_stripping_leaves_no_word_of_camera_or_instruction(edit, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "camera"
    Image.new("RGB", (60, 40), "teal").save(tmp_path / "in.jpg", exif=exif, comment=b"hello")
    assert edit("in.jpg", "at night", "-o", "kept.jpg").returncode == 0
    assert edit("in.jpg", "at night", "-o", "bare.jpg", "--strip").returncode == 0
    kept, bare = ((tmp_path / name).read_bytes() for name in ("kept.jpg", "bare.jpg"))
    for word in (b"camera", b"hello", b"at night", b"ns.adobe.com"):
        assert word in kept and word not in bare


def test_a_result_tells_how_it_was_made(edit, tmp_path):
    photo(tmp_path / "in.webp")
    assert edit("in.webp", "at night", "--seed", "4").returncode == 0
    made = how_made(tmp_path / "in.edited.webp")
    assert (made["instruction"], made["model"]) == ("at night", "tiny")


def test_a_sheet_shows_the_run_and_is_no_input_of_the_next(edit, tmp_path):
    for name in ("a.png", "b.png"):
        photo(tmp_path / "photos" / name)
    (tmp_path / "photos/bad.jpg").write_bytes(b"no picture")
    words = ("photos", "make it snowy", "-o", "out", "--sheet", "photos/sheet.png")
    result = edit(*words)
    assert result.returncode == 1 and b"sheet: photos/sheet.png" in result.stderr
    assert result.stdout.decode().split() == ["out/a.png", "out/b.png"]
    first = (tmp_path / "photos/sheet.png").read_bytes()
    (tmp_path / "photos/bad.jpg").unlink()
    again = edit(*words)
    assert again.returncode == 0, "nothing to do, and no sheet among the pictures"
    assert not again.stdout and b"2 outputs" in again.stderr
    with Image.open(BytesIO(first)) as image, Image.open(tmp_path / "photos/sheet.png") as second:
        assert image.size == second.size


def test_a_sheet_that_cannot_be_is_refused_before_a_model_loads(call_editar, tmp_path):
    photo(tmp_path / "in.png")
    for more, message in (
        (("--sheet", "sheet.gif"), b"must end in .png or .jpg"),
        (("--sheet", "in.png"), b"is an input"),
        (("--sheet", "in.edited.png"), b"the place of a result"),
        (("--sheet", "s.png", "--in-place"), b"--sheet and --in-place"),
        (("--sheet", "s.png", "-o", "-"), b"--sheet and -o -"),
    ):
        result = call_editar("edit", "in.png", "x", "--model", "none", *more)
        assert result.returncode == 2 and message in result.stderr, more


def test_a_dry_run_and_a_sheet_without_results_leave_no_sheet(edit, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    assert edit("bad.jpg", "x", "--sheet", "s.png", "--dry-run").returncode == 0
    result = edit("bad.jpg", "x", "--sheet", "s.png")
    assert result.returncode == 1 and b"no result to show" in result.stderr
    assert not (tmp_path / "s.png").exists()


def test_the_best_of_several_is_written_and_all_are_kept_where_asked(edit, tmp_path):
    for i, name in enumerate(("a.png", "deep/b.jpg")):
        photo(tmp_path / "photos" / name, seed=i)
    words = ("photos", "at night", "-r", "--best-of", "3", "--scorer", "ratio", "--json")
    result = edit(*words, "-o", "out", "--candidates", "all")
    assert result.returncode == 0, result.stderr
    for line in map(json.loads, result.stdout.splitlines()):
        assert len(line["scores"]) == 3
        assert line["scores"][line["chosen"] - 1] == max(line["scores"])
        chosen = line["candidates"][line["chosen"] - 1]
        both = (Image.open(tmp_path / path) for path in (chosen, line["output"]))
        first, second = (np.asarray(image) for image in both)
        assert np.array_equal(first, second)
        note = how_made(tmp_path / line["output"])
        assert (note["best_of"], note["scorer"], note["chosen"]) == (3, "ratio", line["chosen"])
    assert sorted(path.name for path in (tmp_path / "all").rglob("*.*")) == [
        *(f"a-{n}.png" for n in (1, 2, 3)), *(f"b-{n}.jpg" for n in (1, 2, 3))
    ]  # fmt: skip
    assert (tmp_path / "all/deep/b-1.jpg").is_file()
    assert edit("photos/a.png", "at night", "-o", "alone.png").returncode == 0
    alone, first = (
        np.asarray(Image.open(tmp_path / name)) for name in ("alone.png", "all/a-1.png")
    )
    assert np.array_equal(alone, first), "the first candidate is the picture alone"


def test_variations_have_candidates_of_their_own(edit, tmp_path):
    photo(tmp_path / "in.png")
    words = ("in.png", "at night", "--best-of", "2", "--variations", "2", "--scorer", "likelihood")
    result = edit(*words, "--candidates", "all", "-o", "out/")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        "in-1-1.png", "in-1-2.png", "in-2-1.png", "in-2-2.png"
    ]  # fmt: skip
    assert len({path.read_bytes() for path in (tmp_path / "all").iterdir()}) == 4


def test_choosing_that_cannot_be_is_refused_before_a_model_loads(call_editar, tmp_path):
    photo(tmp_path / "in.png")
    for more, message in (
        (("--candidates", "all"), b"--candidates: there is nothing to choose from"),
        (("--scorer", "ratio"), b"--scorer ratio: there is nothing to choose from"),
        (("--best-of", "0"), b"--best-of"),
        (
            ("--best-of", "2", "--scorer", "ratio", "--scorer-weights", "x"),
            b"only clip has weights",
        ),
        (("--best-of", "2", "--candidates", ".", "-o", "in-1.png"), b"would both be written"),
    ):
        result = call_editar("edit", "in.png", "x", "--model", "none", *more)
        assert result.returncode == 2 and message in result.stderr, (more, result.stderr)


def test_clip_that_is_missing_is_told_and_ends_the_run_at_once(edit, tmp_path, monkeypatch):
    monkeypatch.setattr("editar_cli.choosing._cached_clip", lambda: None)
    photo(tmp_path / "in.png")
    result = edit("in.png", "at night", "--best-of", "2", "--scorer", "clip")
    assert result.returncode == 3 and b"hf download" in result.stderr


# Masks.


def mask(path, box=(0, 0, 30, 20), size=(60, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", size)
    image.paste(255, box)
    image.save(path)


def read(*paths):
    return [np.asarray(Image.open(path)) for path in paths]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("in.png", {}),
        ("in.tiff", {}),
        ("in.tif", {"compression": "tiff_lzw"}),
        ("in.bmp", {}),
        ("in.webp", {"lossless": True}),
    ],
)
def test_outside_of_a_mask_lossless_files_stay_bit_for_bit(edit, tmp_path, name, options):
    with Image.open(photo(tmp_path / "first.png")) as image:
        image.save(tmp_path / name, **options)
    mask(tmp_path / "mask.png")
    output = tmp_path / f"out{Path(name).suffix}"
    result = edit(name, "at night", "--mask", "mask.png", "-o", output.name)
    assert result.returncode == 0, result.stderr
    before, after = read(tmp_path / name, output)
    same = (before == after).all(axis=2)
    assert same[20:].all() and same[:, 30:].all()
    assert same[:20, :30].mean() < 0.5
    if output.suffix != ".bmp":
        assert how_made(output)["mask"] == "mask.png"


def test_a_region_in_percent_and_a_hard_edge(edit, tmp_path):
    photo(tmp_path / "in.png")
    result = edit("in.png", "x", "--region", "25%,25%,50%,50%", "--feather", "0", "-o", "out.png")
    assert result.returncode == 0, result.stderr
    before, after = read(tmp_path / "in.png", tmp_path / "out.png")
    changed = (before != after).any(axis=2)
    assert changed[10:30, 15:45].mean() > 0.5
    changed[10:30, 15:45] = False
    assert not changed.any()
    assert how_made(tmp_path / "out.png")["region"] == "25%,25%,50%,50%"


def test_a_dry_run_shows_the_mask_of_each_picture(edit, tmp_path):
    for name in ("a", "b"):
        photo(tmp_path / f"photos/{name}.jpg")
        mask(tmp_path / f"masks/{name}.png")
    words = ("photos", "x", "--mask", "masks", "-o", "out", "--dry-run")
    assert edit(*words).stdout.decode().splitlines() == [
        "photos/a.jpg -> out/a.jpg (mask masks/a.png)",
        "photos/b.jpg -> out/b.jpg (mask masks/b.png)",
    ]
    lines = [json.loads(line) for line in edit(*words, "--json").stdout.splitlines()]
    assert [line["mask"] for line in lines] == ["masks/a.png", "masks/b.png"]


def test_each_picture_of_a_folder_has_its_mask_and_a_bad_one_is_its_failure_alone(edit, tmp_path):
    for i, name in enumerate(("a", "b", "c")):
        photo(tmp_path / f"photos/{name}.png", seed=i)
    mask(tmp_path / "masks/a.png", (0, 0, 60, 20))
    mask(tmp_path / "masks/b.png", size=(40, 60))
    mask(tmp_path / "masks/c.png", (0, 0, 0, 0))
    result = edit("photos", "at night", "--mask", "masks", "-o", "out")
    assert result.returncode == 1
    assert b"masks/b.png: is 40 x 60, but photos/b.png is 60 x 40" in result.stderr
    assert b"photos/c.png: its mask lets nothing change" in result.stderr
    assert result.stdout.decode().split() == ["out/a.png", "out/c.png"]
    before, after = read(tmp_path / "photos/a.png", tmp_path / "out/a.png")
    assert np.array_equal(before[20:], after[20:]) and not np.array_equal(before, after)
    before, after = read(tmp_path / "photos/c.png", tmp_path / "out/c.png")
    assert np.array_equal(before, after)


def test_masks_in_a_list(edit, tmp_path):
    photo(tmp_path / "a.png")
    mask(tmp_path / "m.png", (0, 0, 60, 20))
    (tmp_path / "l.csv").write_text("image,mask\na.png,m.png\n")
    assert edit("--from-file", "l.csv", "at night", "-o", "out.png").returncode == 0
    before, after = read(tmp_path / "a.png", tmp_path / "out.png")
    assert np.array_equal(before[20:], after[20:]) and not np.array_equal(before, after)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--region", "1,2,3"), "--region 1,2,3: must be x,y,w,h"),
        (("--mask", "none.png"), "--mask none.png: no such file or folder"),
        (("--feather", "3"), "--feather: needs --mask or --region"),
        (("--invert-mask",), "--invert-mask: needs --mask or --region"),
        (("--no-zoom",), "--no-zoom: needs --mask or --region"),
    ],
)
def test_flags_of_masks_that_cannot_work_are_exit_code_2(edit, tmp_path, words, said):
    photo(tmp_path / "in.jpg")
    result = edit("in.jpg", "x", *words)
    assert (result.returncode, result.stdout) == (2, b"")
    assert said in result.stderr.decode()
