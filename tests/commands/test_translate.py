"""`editar translate` with a tiny real model."""

import json
import os
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from safetensors.torch import save_file

from editar_cli.engine import Engine
from editar_cli.geometry import Fit, Geometry
from editar_cli.models.depth import DepthConfig, DepthNetwork
from editar_cli.modes import _small_depth
from editar_cli.modes.segmentation import palette
from editar_cli.translator import MapSource

OPENINGS = {
    "canny": "Given the canny edge image, generate an image following the description: ",
    "depth": "Given the depth image, generate an image following the description: ",
    "segmentation": "Given the segmentation mask, generate an image following the description: ",
}


def photo(path, width=60, height=40, seed=0, mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    large = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    large.convert(mode).save(path, **options)
    return path


def lines(path, width=60, height=40, at=20):
    """An edge map with one level and one upright line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width), np.uint8)
    pixels[at] = 255
    pixels[:, at] = 255
    Image.fromarray(pixels).save(path)
    return path


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def note(path):
    with Image.open(path) as image:
        return json.loads(image.getexif()[0x000B].removeprefix("editar "))


@pytest.fixture(scope="session")
def small_depth(tmp_path_factory):
    """Weights of a tiny depth network."""
    folder = tmp_path_factory.mktemp("depth")
    config = DepthConfig(image_size=16, widths=(8, 8))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DepthNetwork(config)
    facts = {"config": json.dumps({"image_size": 16, "widths": [8, 8]})}
    save_file(network.state_dict(), folder / "depth.safetensors", facts)
    return folder / "depth.safetensors"


@pytest.fixture
def translate(call_editar, mapped_bundle, small_depth, monkeypatch):
    """`editar translate ARGS... --model TINY`, with a depth network as tiny."""
    monkeypatch.setattr(_small_depth, "small_depth_file", lambda: small_depth)

    def run(*args, **more):
        return call_editar("translate", *args, "--model", mapped_bundle, "--device", "cpu", **more)

    return run


@pytest.fixture
def prompts(monkeypatch):
    """What the engine was asked for, in order."""
    seen = []
    real = Engine.stream

    def stream(self, tasks, *more, **settings):
        def noted():
            for task in tasks:
                seen.append(task.instruction)
                yield task

        return real(self, noted(), *more, **settings)

    monkeypatch.setattr(Engine, "stream", stream)
    return seen


# Where pictures go.


def test_one_picture_goes_beside_itself_and_its_path_is_printed(
    run_editar, mapped_bundle, tmp_path
):
    photo(tmp_path / "in.jpg")
    result = run_editar("translate", "--mode", "canny", "in.jpg", "--model", mapped_bundle)
    assert result.returncode == 0, result.stderr
    assert result.stdout == b"in.canny.jpg\n"
    with Image.open(tmp_path / "in.canny.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (60, 40))


def test_a_folder_goes_to_its_sibling_which_is_said(translate, tmp_path):
    for i, name in enumerate(("a.jpg", "b.png")):
        photo(tmp_path / "photos" / name, seed=i)
    result = translate("--mode", "segmentation", "photos")
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().split() == [
        "photos.segmentation/a.jpg",
        "photos.segmentation/b.png",
    ]
    assert b"results go to photos.segmentation/" in result.stderr
    assert b"2 pictures translated" in result.stderr


def test_outputs_of_earlier_runs_are_no_inputs(translate, tmp_path):
    photo(tmp_path / "photos/in.png")
    for name in (
        "in.canny.png",
        "in.canny.preview.png",
        "in.depth.png",
        "in.canny-map.png",
        "in.hed-map.png",
        "in.edited.png",
    ):
        photo(tmp_path / "photos" / name)
    photo(tmp_path / "photos/deep.canny/in.png")
    result = translate("--mode", "canny", "photos", "-r", "--dry-run")
    assert result.stdout == b"photos/in.png -> photos.canny/in.png\n"


def test_maps_of_earlier_runs_are_inputs_where_maps_are_asked_for(translate, tmp_path):
    lines(tmp_path / "photos.canny-map/in.png")
    lines(tmp_path / "photos.canny-map/other.canny-map.png")
    result = translate("--mode", "canny", "--input", "map", "photos.canny-map", "--dry-run")
    assert result.stdout.decode().splitlines() == [
        "photos.canny-map/in.png -> photos.canny-map.canny/in.png",
        "photos.canny-map/other.canny-map.png -> photos.canny-map.canny/other.canny-map.png",
    ]


def test_a_tree_is_mirrored_into_the_output_folder(translate, tmp_path):
    photo(tmp_path / "photos/a.jpg")
    photo(tmp_path / "photos/deep/er/b.webp")
    result = translate("--mode", "canny", "photos", "-r", "-o", "out", "--save-map", "maps")
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().split() == ["out/a.jpg", "out/deep/er/b.webp"]
    assert pixels(tmp_path / "maps/a.png").shape == (40, 60, 3)
    assert set(np.unique(pixels(tmp_path / "maps/deep/er/b.png"))) == {0, 255}


def test_a_pipe_carries_pictures_only(translate, tmp_path):
    data = photo(tmp_path / "in.jpg").read_bytes()
    first = translate("--mode", "canny", "-", "-o", "-", input=data)
    assert first.returncode == 0, first.stderr
    second = translate("--mode", "depth", "-", "--format", "png", input=first.stdout)
    with Image.open(BytesIO(second.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (60, 40))
    third = translate("--mode", "canny", "-", "--map-only", input=second.stdout)
    with Image.open(BytesIO(third.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (60, 40))


def test_what_is_there_is_skipped_unless_it_is_to_be_replaced(translate, tmp_path):
    photo(tmp_path / "in.png")
    (tmp_path / "in.canny.png").write_bytes(b"there")
    skipped = translate("--mode", "canny", "in.png")
    assert (skipped.returncode, skipped.stdout) == (0, b"")
    assert b"skipped: in.canny.png already there" in skipped.stderr
    refused = translate("--mode", "canny", "in.png", "--on-exists", "error")
    assert refused.returncode == 2
    assert (tmp_path / "in.canny.png").read_bytes() == b"there"
    assert translate("--mode", "canny", "in.png", "--overwrite").returncode == 0
    assert pixels(tmp_path / "in.canny.png").shape == (40, 60, 3)


@pytest.mark.parametrize("fit", list(Fit))
def test_a_result_has_the_size_of_the_part_that_the_model_saw(translate, tmp_path, fit):
    photo(tmp_path / "in.png", 61, 40)
    result = translate("--mode", "canny", "in.png", "--fit", fit, "--save-map", "maps")
    assert result.returncode == 0, result.stderr
    box = Geometry.of(source=(61, 40), size=32, fit=fit).source_box
    shape = (box[3] - box[1], box[2] - box[0], 3)
    assert shape == (40, 40 if fit is Fit.CROP else 61, 3)
    assert pixels(tmp_path / "in.canny.png").shape == shape
    assert pixels(tmp_path / "maps/in.png").shape == shape


def test_size_model_is_the_bare_square(translate, tmp_path):
    photo(tmp_path / "in.png")
    assert translate("--mode", "canny", "in.png", "--size", "model").returncode == 0
    assert pixels(tmp_path / "in.canny.png").shape == (32, 32, 3)


# Captions.


@pytest.mark.parametrize("mode", ["canny", "depth", "segmentation"])
def test_prompts_are_the_published_ones_with_the_caption_after(translate, tmp_path, prompts, mode):
    photo(tmp_path / "in.png")
    assert translate("--mode", mode, "in.png", "a lake, by night").returncode == 0
    assert [prompt.encode() for prompt in prompts] == [f"{OPENINGS[mode]}a lake, by night".encode()]
    assert note(tmp_path / f"in.{mode}.png")["caption"] == "a lake, by night"


@pytest.mark.parametrize(
    ("words", "caption"),
    [
        (["in.png"], ""),
        (["in.png", ""], ""),
        (["in.png", "snow"], "snow"),
        (["in.*", "snow"], "snow"),
        (["in.png", "--caption", "fog"], "fog"),
        (["in.png", "--caption", ""], ""),
        (["--caption", "what is this?", "in.png"], "what is this?"),
    ],
)
def test_the_caption_is_the_last_word_or_that_of_the_flag(
    translate, tmp_path, prompts, words, caption
):
    photo(tmp_path / "in.png")
    result = translate("--mode", "canny", *words)
    assert result.returncode == 0, result.stderr
    assert prompts == [OPENINGS["canny"] + caption]


def test_a_second_picture_is_no_caption_and_no_file_name_becomes_one(translate, tmp_path, prompts):
    photo(tmp_path / "a lake.png")
    photo(tmp_path / "night.png")
    result = translate("--mode", "canny", "a lake.png", "night.png")
    assert result.returncode == 0, result.stderr
    assert prompts == [OPENINGS["canny"]] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in.png", "missing.png"], "missing.png: no such file"),
        (["in.png", "missing/"], "missing/: no such file or folder"),
        (["in.png", "*.gif"], "*.gif: matches no file"),
        (["in.png", "snow", "--caption", "fog"], "snow: no such file"),
        (["a lake"], "a lake: no such file"),
        (["x" * 5000], "no such file"),
        ([], "no picture: editar translate --mode canny in.jpg"),
    ],
)
def test_what_may_have_been_meant_as_a_picture_is_no_caption(translate, tmp_path, words, said):
    photo(tmp_path / "in.png")
    result = translate("--mode", "canny", *words)
    assert result.returncode == 2
    assert said in result.stderr.decode()
    assert b"Traceback" not in result.stderr


def test_captions_come_from_text_files_beside_the_pictures_and_are_counted(
    translate, tmp_path, prompts
):
    for name in ("a.png", "b.png"):
        photo(tmp_path / "photos" / name)
    (tmp_path / "photos/b.txt").write_text("a lake\n")
    result = translate("--mode", "canny", "photos", "-o", "one")
    assert prompts == [OPENINGS["canny"], OPENINGS["canny"] + "a lake"]
    assert b"captions: 1 from text files" in result.stderr
    prompts.clear()
    result = translate("--mode", "canny", "photos", "-o", "two", "--no-caption-files")
    assert prompts == [OPENINGS["canny"]] * 2
    assert b"captions" not in result.stderr
    prompts.clear()
    translate("--mode", "canny", "photos", "fog", "-o", "three")
    assert prompts == [OPENINGS["canny"] + "fog"] * 2


def test_masks_in_a_list_are_refused(translate, tmp_path):
    photo(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("image,mask\na.png,a.png\n")
    result = translate("--mode", "canny", "--from-file", "list.csv")
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"masks are for editar edit" in result.stderr


def test_a_list_gives_each_picture_its_caption_seed_and_place(translate, tmp_path, prompts):
    for name in ("a.png", "deep/b.png", "c.png"):
        photo(tmp_path / name)
    (tmp_path / "c.txt").write_text("from the file")
    (tmp_path / "list.csv").write_text(
        'image,caption,seed,output\na.png,"one, two",7,x/1.png\ndeep/b.png,three,,\nc.png,,,\n'
    )
    result = translate("--mode", "canny", "--from-file", "list.csv", "-o", "out")
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().split() == ["x/1.png", "out/deep/b.png", "out/c.png"]
    assert prompts == [OPENINGS["canny"] + text for text in ("one, two", "three", "from the file")]
    alone = translate("--mode", "canny", "a.png", "one, two", "--seed", "7", "-o", "alone.png")
    assert alone.returncode == 0
    assert np.array_equal(pixels(tmp_path / "alone.png"), pixels(tmp_path / "x/1.png"))


def test_a_list_from_standard_input_with_one_caption_for_all(translate, tmp_path, prompts):
    photo(tmp_path / "a.png")
    result = translate("--mode", "canny", "--from-file", "-", "snow", input=b"a.png\n")
    assert (result.returncode, result.stdout) == (0, b"a.canny.png\n")
    assert prompts == [OPENINGS["canny"] + "snow"]


def test_a_wrong_list_is_exit_code_2_and_says_which_line(translate, tmp_path):
    photo(tmp_path / "a.png")
    (tmp_path / "list.jsonl").write_text('{"image": "a.png"}\n{"image": "b.png"}\n')
    result = translate("--mode", "canny", "--from-file", "list.jsonl")
    assert result.returncode == 2
    assert b"list.jsonl:2: b.png: no such file" in result.stderr


# Ready-made maps.


def test_maps_are_taken_as_they_are_or_turned_round(translate, tmp_path):
    lines(tmp_path / "maps/white.png")
    Image.fromarray(255 - pixels(tmp_path / "maps/white.png")).save(tmp_path / "maps/black.png")
    result = translate("--mode", "canny", "--input", "map", "maps", "--save-map", "used")
    assert result.returncode == 0, result.stderr
    assert b"maps/black.png: black on white, inverted" in result.stderr
    for name in ("white", "black"):
        used = pixels(tmp_path / f"used/{name}.png")
        assert np.array_equal(used, pixels(tmp_path / "maps/white.png"))
    assert note(tmp_path / "maps.canny/white.png")["map"] == "given"


def test_depth_of_8_and_16_bits_and_near_dark(translate, tmp_path):
    ramp = np.repeat(np.linspace(0, 1, 40)[:, None], 60, 1)
    folder = tmp_path / "maps"
    folder.mkdir()
    Image.fromarray(np.rint(ramp * 255).astype(np.uint8)).save(folder / "8.png")
    Image.fromarray(np.rint(20_000 + ramp * 30_000).astype(np.uint16)).save(folder / "16.png")
    command = ("--mode", "depth", "--input", "map", "maps", "--map-only")
    assert translate(*command, "-o", "near").returncode == 0
    assert translate(*command, "-o", "far", "--invert").returncode == 0
    eight, sixteen, inverted = (
        pixels(tmp_path / name).astype(int) for name in ("near/8.png", "near/16.png", "far/8.png")
    )
    assert np.abs(eight[..., 0] - 255 * ramp).max() <= 1
    assert np.abs(sixteen - eight).max() <= 1
    assert np.abs(inverted + eight - 255).max() <= 1
    assert translate("--mode", "depth", "--input", "map", "maps", "-o", "out").returncode == 0
    assert pixels(tmp_path / "out/16.png").shape == (40, 60, 3)


def test_regions_in_colours_or_as_label_ids(translate, tmp_path):
    ids = np.zeros((40, 60), np.uint8)
    ids[25:] = 3
    folder = tmp_path / "maps"
    folder.mkdir()
    Image.fromarray(ids).save(folder / "ids.png")
    Image.fromarray(np.array([[200, 0, 0], [0, 0, 0], [0, 0, 0], [0, 90, 0]], np.uint8)[ids]).save(
        folder / "colours.png"
    )
    command = ("--mode", "segmentation", "--input", "map", "maps", "--save-map", "used")
    result = translate(*command)
    assert result.returncode == 0, result.stderr
    expected = palette(6)[ids // 3]
    for name in ("ids", "colours"):
        assert np.array_equal(pixels(tmp_path / f"used/{name}.png"), expected)
        assert pixels(tmp_path / f"maps.segmentation/{name}.png").shape == (40, 60, 3)


def test_what_is_no_map_is_named_and_the_others_are_done(translate, tmp_path):
    folder = tmp_path / "maps"
    photo(folder / "a-photo.png")
    Image.new("L", (30, 30)).save(folder / "black.png")
    lines(folder / "good.png")
    Image.open(folder / "good.png").convert("LA").save(folder / "grey-alpha.png")
    result = translate("--mode", "canny", "--input", "map", "maps")
    said = result.stderr.decode()
    assert result.returncode == 1
    assert result.stdout == b"maps.canny/good.png\n"
    assert "maps/a-photo.png: is in colour" in said and "photograph?" in said
    assert "maps/black.png: is an edge map with no edge in it" in said
    assert "maps/grey-alpha.png: has 2 channels" in said
    assert "3 of 4 pictures failed" in said
    made = {name for name in os.listdir(tmp_path / "maps.canny") if name != "manifest.jsonl"}
    assert made == {"good.png"}


@pytest.mark.parametrize("mode", ["depth", "segmentation"])
def test_a_photograph_is_no_map_of_depth_or_regions(translate, tmp_path, mode):
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (90, 90, 3)).astype(np.uint8)
    Image.fromarray(noisy).save(tmp_path / "in.png")
    result = translate("--mode", mode, "--input", "map", "in.png")
    assert result.returncode == 1
    assert b"in.png: is " in result.stderr and b"a photograph?" in result.stderr
    assert not (tmp_path / f"in.{mode}.png").exists()


def test_a_map_that_was_saved_gives_the_picture_that_its_photograph_gave(translate, tmp_path):
    for i, size in enumerate([(64, 64), (61, 43), (33, 90)]):
        photo(tmp_path / f"photos/{i}.png", *size, seed=i)
    common = ("a lake", "--seed", "5")
    made = translate("--mode", "canny", "photos", *common, "-o", "one", "--save-map", "maps")
    assert made.returncode == 0, made.stderr
    again = translate("--mode", "canny", "--input", "map", "maps", *common, "-o", "two")
    assert again.returncode == 0, again.stderr
    for i in range(3):
        assert np.array_equal(pixels(tmp_path / f"one/{i}.png"), pixels(tmp_path / f"two/{i}.png"))


# Maps and previews.


@pytest.mark.parametrize("mode", ["canny", "depth", "segmentation"])
def test_maps_alone_have_the_size_of_the_picture_and_need_no_model(
    translate, tmp_path, monkeypatch, mode
):
    def fail(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("editar_cli.editor.load_bundle", fail)
    photo(tmp_path / "photos/a.jpg", 61, 43)
    photo(tmp_path / "photos/deep/b.webp", 20, 90)
    result = translate("--mode", mode, "photos", "-r", "--map-only", "--fit", "crop")
    assert result.returncode == 0, result.stderr
    folder = f"photos.{mode}-map"
    assert result.stdout.decode().split() == [f"{folder}/a.png", f"{folder}/deep/b.png"]
    assert pixels(tmp_path / folder / "a.png").shape == (43, 61, 3)
    assert pixels(tmp_path / folder / "deep/b.png").shape == (90, 20, 3)
    assert b"2 pictures mapped" in result.stderr
    said = note(tmp_path / folder / "a.png")
    assert said["mode"] == mode and "model" not in said


def test_maps_alone_are_png_unless_another_format_is_asked_for(translate, tmp_path):
    photo(tmp_path / "in.jpg")
    beside = translate("--mode", "canny", "in.jpg", "--map-only")
    assert beside.stdout == b"in.canny-map.png\n", beside.stderr
    named = translate("--mode", "canny", "in.jpg", "--map-only", "-o", "map.webp")
    assert named.stdout == b"map.webp\n", named.stderr
    asked = translate("--mode", "canny", "in.jpg", "--map-only", "--format", "jpg", "-o", "maps/")
    assert asked.stdout == b"maps/in.jpg\n", asked.stderr


def test_the_extractors_weights_can_be_named(translate, tmp_path, small_depth):
    photo(tmp_path / "in.png")
    command = ("--mode", "depth", "in.png", "--extractor", "small", "--map-only")
    for number, weights in enumerate((small_depth, small_depth.parent)):
        result = translate(*command, "--extractor-weights", weights, "-o", f"{number}.png")
        assert result.returncode == 0, result.stderr
    assert np.array_equal(pixels(tmp_path / "0.png"), pixels(tmp_path / "1.png"))
    assert len(np.unique(pixels(tmp_path / "0.png"))) > 2
    missing = translate(*command, "--extractor-weights", "none", "-o", "2.png")
    assert missing.returncode == 3
    assert b"none: no small depth network" in missing.stderr


def test_thresholds_reach_the_extractor(translate, tmp_path):
    photo(tmp_path / "in.png", 200, 200)
    shares = []
    for low, high in ((1, 2), (100, 200), (900, 1000)):
        command = ("--mode", "canny", "in.png", "--map-only", "--overwrite")
        assert translate(*command, "--low", low, "--high", high).returncode == 0
        shares.append((pixels(tmp_path / "in.canny-map.png") > 0).mean())
    assert shares[0] > shares[1] >= shares[2] == 0


def test_a_preview_shows_source_map_and_result(translate, tmp_path):
    photo(tmp_path / "in.png", 60, 40)
    result = translate("--mode", "canny", "in.png", "--preview", "--save-map", "maps")
    assert result.stdout == b"in.canny.png\n"
    preview = pixels(tmp_path / "in.canny.preview.png")
    assert preview.shape == (40, 3 * 60 + 16, 3)
    assert np.array_equal(preview[:, :60], pixels(tmp_path / "in.png"))
    assert np.array_equal(preview[:, 68:128], pixels(tmp_path / "maps/in.png"))
    assert np.array_equal(preview[:, 136:], pixels(tmp_path / "in.canny.png"))


def test_what_has_no_name_has_no_preview_and_no_saved_map(translate, tmp_path):
    data = photo(tmp_path / "in.png").read_bytes()
    for words in (["-", "-o", "-"], ["-"], ["in.png", "-o", "-"]):
        result = translate("--mode", "canny", *words, "--preview", input=data)
        assert result.returncode == 2
        assert b"--preview" in result.stderr and b"Traceback" not in result.stderr
    result = translate("--mode", "canny", "-", "-o", "x.png", "--save-map", "maps", input=data)
    assert result.returncode == 2
    assert b"--save-map" in result.stderr


# What is said, and refused.


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--mode", "sketch"], "--mode sketch: must be one of canny, depth"),
        (["--mode", "canny", "--extractor", "dpt"], "--extractor dpt: mode canny has"),
        (
            ["--mode", "canny", "--extractor", "opencv", "--input", "map"],
            "--extractor and --input map",
        ),
        (["--mode", "canny", "--low", "3", "--input", "map"], "--low and --input map"),
        (["--mode", "depth", "--invert"], "--invert is for maps"),
        (
            ["--mode", "segmentation", "--extractor", "regions", "--low", "3"],
            "--low: extractor regions takes no settings",
        ),
        (["--mode", "segmentation", "--low", "3"], "--low: extractor regions takes no settings"),
        (["--mode", "canny", "--low", "300"], "--low 300: must not be above --high, 200"),
        (["--mode", "canny", "--low", "3", "--high", "2"], "--low 3.0: must not be above --high"),
        (["--mode", "canny", "--resolution", "3"], "--resolution 3: must be between 16 and"),
        (["--mode", "canny", "--map-only", "--save-map", "x"], "--map-only and --save-map"),
        (["--mode", "canny", "--map-only", "--caption", "x"], "--map-only and --caption"),
        (["--mode", "canny", "--map-only", "snow"], '--map-only and the caption "snow"'),
        (["--mode", "canny", "--map-only", "--size", "model"], "--map-only and --size model"),
        (["--mode", "canny", "--save-map", "."], "is an input and would be overwritten"),
        (["--mode", "canny", "--input", "sketch"], "--input"),
        (["--mode", "canny", "--guidance", "-1"], "--guidance -1.0"),
        (["--mode", "canny", "--batch-size", "0"], "--batch-size 0"),
        (["--mode", "canny", "-o", "-", "--json"], "--json"),
        (["--mode", "canny", "--overwrite", "--on-exists", "skip"], "--overwrite and --on-exists"),
        ([], "--mode"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_which_word(translate, tmp_path, args, said):
    photo(tmp_path / "in.png")
    result = translate("in.png", *args)
    assert result.returncode == 2
    assert said in result.stderr.decode()
    assert b"Traceback" not in result.stderr
    assert result.stdout == b""
    assert os.listdir(tmp_path) == ["in.png"]


def test_a_mode_that_the_model_does_not_know_is_told(translate, call_editar, tmp_path, tiny_bundle):
    lines(tmp_path / "in.png")
    result = translate("--mode", "hed", "--input", "map", "in.png")
    assert result.returncode == 0, result.stderr
    assert b"this model was not trained on hed maps" in result.stderr
    known = translate("--mode", "canny", "--input", "map", "in.png")
    assert b"not trained" not in known.stderr


def test_the_extractors_of_a_mode_are_listed(call_editar):
    result = call_editar("translate", "--mode", "depth", "--extractor", "list")
    assert result.returncode == 0
    listed = {line.split(": ")[0]: line for line in result.stdout.decode().splitlines()}
    assert list(listed) == ["small", "dpt", "depth-anything", "midas", "zoe"]
    assert "(here)" in listed["dpt"] or "(not on this machine, 1370 MB)" in listed["dpt"]


def test_a_dry_run_writes_nothing_and_loads_no_torch(run_editar, tmp_path):
    photo(tmp_path / "photos/a.jpg")
    words = ("translate", "--mode", "canny", "photos", "snow", "--save-map", "maps", "--preview")
    result = run_editar(*words, "--dry-run", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.returncode == 0
    assert result.stdout == b"photos/a.jpg -> photos.canny/a.jpg\n"
    loaded = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.decode().splitlines()}
    assert "typer" in loaded
    assert not loaded & {"torch", "cv2", "transformers", "kornia", "controlnet_aux"}
    assert os.listdir(tmp_path) == ["photos"]


def test_lines_of_json_say_caption_map_preview_and_notes(translate, tmp_path):
    lines(tmp_path / "a.png")
    Image.fromarray(255 - pixels(tmp_path / "a.png")).save(tmp_path / "a.png")
    command = ("--mode", "canny", "--input", "map", "a.png", "snow", "--json")
    result = translate(*command, "--save-map", "maps", "--preview")
    (record,) = (json.loads(line) for line in result.stdout.splitlines())
    assert record["status"] == "done"
    assert record["caption"] == "snow"
    assert record["map"] == "maps/a.png"
    assert record["preview"] == "a.canny.preview.png"
    assert record["notes"] == ["black on white, inverted"]


def test_the_note_says_how_a_picture_was_made(translate, tmp_path):
    photo(tmp_path / "in.jpg")
    translate("--mode", "segmentation", "in.jpg", "a lake", "--seed", "4", "--guidance", "5")
    said = note(tmp_path / "in.segmentation.jpg")
    assert said["model"] == "tiny"
    assert (said["mode"], said["map"], said["caption"]) == ("segmentation", "regions", "a lake")
    assert said["guidance"] == 5.0
    assert isinstance(said["seed"], int)


# Any picture.


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16"])
def test_pictures_of_any_mode_become_plain_rgb(translate, tmp_path, mode):
    name = "in.tif"
    if mode == "I;16":
        values = np.random.default_rng(0).integers(0, 65536, (40, 60)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / name)
    else:
        photo(tmp_path / name, mode=mode)
    result = translate("--mode", "canny", name)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "in.canny.tif") as image:
        assert (image.mode, image.size) == ("RGB", (60, 40))


def test_a_turned_picture_is_translated_upright_and_its_camera_data_stays_behind(
    translate, tmp_path
):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo(tmp_path / "in.jpg", 60, 40, exif=exif, icc_profile=profile)
    result = translate("--mode", "canny", "in.jpg", "--save-map", "maps")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "in.canny.jpg") as image:
        assert image.size == (40, 60)
        assert "icc_profile" not in image.info
        assert set(image.getexif()) & {0x0112, 0x010F} == set()
    assert pixels(tmp_path / "maps/in.png").shape == (60, 40, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (200, 2), (33, 31)])
@pytest.mark.parametrize("mode", ["canny", "depth", "segmentation"])
def test_a_picture_of_any_shape_can_be_translated(translate, tmp_path, size, mode):
    photo(tmp_path / "in.png", *size)
    for fit in Fit:
        result = translate("--mode", mode, "in.png", "--fit", fit, "-o", f"{fit}.png")
        assert result.returncode == 0, result.stderr
    assert pixels(tmp_path / "stretch.png").shape == (size[1], size[0], 3)


def test_pictures_do_not_depend_on_batch_size_order_or_company(translate, tmp_path):
    for i in range(4):
        photo(tmp_path / f"photos/{i}.png", 40 + i, 30, seed=i)
    common = ("--mode", "segmentation", "--caption", "a lake", "--seed", "3")
    assert translate("photos", *common, "-o", "one", "--batch-size", "1").returncode == 0
    assert translate("photos", *common, "-o", "all", "--batch-size", "8").returncode == 0
    some = translate("photos/3.png", "photos/1.png", *common, "-o", "some/")
    assert some.returncode == 0
    for i in range(4):
        data = (tmp_path / f"one/{i}.png").read_bytes()
        assert data == (tmp_path / f"all/{i}.png").read_bytes()
        if i in (1, 3):
            assert data == (tmp_path / f"some/{i}.png").read_bytes()


def test_variations_of_a_translation_share_their_map(translate, tmp_path, monkeypatch):
    photo(tmp_path / "in.png")
    found = []
    whole = MapSource.for_model
    monkeypatch.setattr(MapSource, "for_model", lambda *args: (found.append(1), whole(*args))[1])
    result = translate(
        "--mode", "canny", "in.png", "--variations", "3", "--save-map", "maps", "-o", "out/"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().split() == [f"out/in-{n}.png" for n in (1, 2, 3)]
    assert len({(tmp_path / f"out/in-{n}.png").read_bytes() for n in (1, 2, 3)}) == 3
    assert len(found) == 1, "the map is found once"
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["in.png"]


def test_maps_alone_have_no_variations(translate, tmp_path):
    photo(tmp_path / "in.png")
    result = translate("--mode", "canny", "in.png", "--map-only", "--variations", "2")
    assert result.returncode == 2 and b"--map-only and --variations" in result.stderr


def test_a_sheet_shows_translations_and_maps(translate, tmp_path):
    photo(tmp_path / "in.png")
    for more in ((), ("--map-only",)):
        result = translate("--mode", "canny", "in.png", "--sheet", "sheet.jpg", *more)
        assert result.returncode == 0, result.stderr
        with Image.open(tmp_path / "sheet.jpg") as image:
            assert image.format == "JPEG" and min(image.size) > 200
        (tmp_path / "sheet.jpg").unlink()
