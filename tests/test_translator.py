import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from editar_cli import images, pipeline
from editar_cli.editor import Editor
from editar_cli.errors import ImageError, ModelError
from editar_cli.geometry import Fit, Geometry
from editar_cli.images import Source
from editar_cli.modes import load_mode
from editar_cli.modes._mode import ExtractorSettings
from editar_cli.modes._settings import MapSettings, choose_extractor
from editar_cli.modes.segmentation import coco_colours, palette
from editar_cli.pipeline import Asked
from editar_cli.translator import (
    MapSession,
    MapSource,
    TranslateSession,
    beside_each_other,
    fit_map,
    new_picture,
    raw_map,
    to_model,
)

SUITED = {"canny": ["opencv"], "depth": ["small"], "segmentation": ["maskformer", "regions"]}
EXTRACTORS = {"canny": "opencv", "segmentation": "regions"}


def maps(mode, suited=SUITED, **settings):
    if settings.get("input") != "map":
        settings.setdefault("extractor", EXTRACTORS[mode])
    chosen = MapSettings(mode=mode, **settings)
    return MapSource(chosen, choose_extractor(chosen, suited))


def make_all(maker, sources, texts, seeds, **more):
    """What comes of sources with their texts and seeds."""
    asked = [
        Asked(source=source, text=text, seed=seed)
        for source, text, seed in zip(sources, texts, seeds, strict=True)
    ]
    return pipeline.make_all(maker, asked, **more)


def source(pixels, name="in.png", **more):
    return Source(name=name, pixels=np.ascontiguousarray(pixels), **more)


def noise(width, height, seed=0, mode="RGB"):
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return images.source_from_image(large.convert(mode), name=f"{seed}.png")


@pytest.fixture(scope="module")
def editor(tiny_bundle):
    return Editor.load(tiny_bundle, device="cpu")


def session(editor, mode="canny", size="source", fit=None, seed=0, **settings):
    if settings.get("input") != "map":
        settings.setdefault("extractor", EXTRACTORS[mode])
    chosen = MapSettings(mode=mode, **settings)
    return TranslateSession(editor, editor.options(size=size, fit=fit), chosen, seed=seed)


# How maps lie on their pictures.


def step(width, height, axis, at):
    """Dark before ``at`` along the axis (0: x, 1: y), bright from there on."""
    pixels = np.full((height, width, 3), (30, 40, 50), np.uint8)
    if axis == 0:
        pixels[:, at:] = (220, 210, 200)
    else:
        pixels[at:] = (220, 210, 200)
    return source(pixels)


@pytest.mark.parametrize("size", [(301, 517), (640, 211), (97, 33)])
@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("mode", ["canny", "segmentation"])
def test_an_edge_of_the_map_lies_within_a_pixel_of_that_of_the_picture(mode, axis, fit, size):
    length, square = size[axis], 64
    geometry = Geometry.of(source=size, size=square, fit=fit)
    box = geometry.source_box
    at = round(box[axis] + 0.4 * (box[axis + 2] - box[axis]))
    made = maps(mode).for_model(step(*size, axis, at), square, fit)
    expected = at * geometry.scaled[axis] / length - geometry.offset[axis]
    inner = geometry.model_box
    middle = (inner[1 - axis] + inner[3 - axis]) // 2

    def edges(pixels, line):
        row = (pixels[line] if axis == 0 else pixels[:, line]).astype(int)
        if mode == "canny":
            return np.flatnonzero(row[:, 0]) + 0.5
        return np.flatnonzero(np.abs(np.diff(row, axis=0)).sum(1)) + 1.0

    # Regions part by height as well, so theirs is the nearest of several borders.
    farthest = np.max if mode == "canny" else np.min
    found = edges(made.square, middle)
    assert found.size
    assert farthest(np.abs(found - expected)) <= 1.0

    # The one at the source's size lies there to within a pixel of the model.
    shape = (box[3] - box[1], box[2] - box[0], 3)
    assert made.full.shape == shape
    found = edges(made.full, shape[axis] // 2)
    scale = length / geometry.scaled[axis]
    assert found.size
    assert farthest(np.abs(found + box[axis] - at)) <= max(1.0, scale)


def test_lines_are_drawn_of_the_square_that_the_model_sees():
    photo = noise(90, 60)
    seen = images.to_pixels(images.prepare(photo, 32, Fit.STRETCH))
    canny = load_mode("canny").extractors["opencv"].load(ExtractorSettings())
    made = maps("canny").for_model(photo, 32, Fit.STRETCH)
    assert np.array_equal(made.square, canny(seen))
    assert set(np.unique(made.full)) <= {0, 255}


def test_a_resolution_that_was_asked_for_is_one_of_the_whole_picture():
    photo = noise(90, 60)
    source_of = maps("canny", extracting=ExtractorSettings(resolution=48))
    made = source_of.for_model(photo, 32, Fit.STRETCH)
    assert np.array_equal(made.full, source_of.at_source_size(photo).pixels)


@pytest.mark.parametrize("size", [(300, 200), (640, 427), (256, 256), (150, 160)])
def test_a_map_that_was_written_is_taken_back_pixel_on_pixel(size):
    made = maps("canny").for_model(noise(*size), 64, Fit.STRETCH)
    assert made.square.any()
    again = maps("canny", input="map").for_model(source(made.full), 64, Fit.STRETCH)
    assert np.array_equal(again.square, made.square)
    assert np.array_equal(again.full, made.full)


def test_one_pixel_lines_of_a_large_map_reach_the_model():
    pixels = np.zeros((500, 700, 3), np.uint8)
    pixels[:, 333] = 255
    pixels[217] = 255
    made = maps("canny", input="map").for_model(source(pixels), 32, Fit.STRETCH)
    assert (made.square[:, 333 * 32 // 700] == 255).all()
    assert (made.square[217 * 32 // 500] == 255).all()
    assert np.array_equal(made.full, pixels)


@pytest.mark.parametrize("size", [(211, 64), (64, 211), (70, 50), (97, 20), (33, 33)])
def test_no_line_of_one_pixel_is_lost_or_smeared_wherever_it_lies(size):
    geometry = Geometry.of(source=size, size=32, fit=Fit.STRETCH)
    for axis in (0, 1):
        widths = []
        for at in range(size[axis]):
            pixels = np.zeros((size[1], size[0], 3), np.uint8)
            np.moveaxis(pixels, 1 - axis, 0)[at] = 255
            square = np.moveaxis(fit_map(pixels, geometry, "lines"), 1 - axis, 0)[:, 16, 0]
            widths.append((square > 0).sum())
        assert min(widths) == 1
        assert max(widths) <= max(2, -(-32 // size[axis]))


@pytest.mark.parametrize("size", [(50, 20), (20, 50), (7, 90)])
def test_a_padded_map_repeats_its_border(size):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    geometry = Geometry.of(source=size, size=16, fit=Fit.PAD)
    square = fit_map(pixels, geometry, "flat")
    left, top, right, bottom = geometry.model_box
    assert square.shape == (16, 16, 3)
    assert (square[:, :left] == square[:, left : left + 1]).all()
    assert (square[:, right:] == square[:, right - 1 : right]).all()
    assert (square[:top] == square[top : top + 1]).all()
    assert (square[bottom:] == square[bottom - 1 : bottom]).all()


def test_a_flat_map_takes_on_no_new_colour_and_a_smooth_one_does():
    pixels = np.zeros((45, 45, 3), np.uint8)
    pixels[:, 22:] = 200
    geometry = Geometry.of(source=(45, 45), size=16, fit=Fit.STRETCH)
    assert set(np.unique(fit_map(pixels, geometry, "flat"))) == {0, 200}
    assert len(np.unique(fit_map(pixels, geometry, "smooth"))) == 3


# What files are as maps.


@pytest.mark.parametrize(
    ("mode", "channels", "grey"),
    [("1", 1, True), ("L", 1, True), ("LA", 2, True), ("P", 3, False), ("RGB", 3, False),
     ("RGBA", 4, False), ("CMYK", 4, False), ("I;16", 1, True), ("PA", 4, False),
     ("YCbCr", 3, False)],
)  # fmt: skip
def test_channels_are_those_of_the_file(mode, channels, grey):
    raw = raw_map(images.source_from_image(Image.new(mode, (4, 4)), name="x"))
    assert (raw.channels, raw.grey, raw.name) == (channels, grey, "x")


def test_16_bits_of_either_byte_order_are_one_deep_channel(tmp_path):
    values = np.arange(1000, 1000 + 64, dtype=np.uint16).reshape(8, 8)
    for order in ("<", ">"):
        kind = "I;16" if order == "<" else "I;16B"
        file = tmp_path / f"{kind.replace(';', '')}.tiff"
        data = values.astype(f"{order}u2").tobytes()
        Image.frombytes(kind, (8, 8), data).save(file)
        raw = raw_map(images.read_image(file))
        assert (raw.channels, raw.grey) == (1, True)
        assert np.array_equal(raw.deep, values)


def test_16_bit_depth_uses_all_its_bits():
    ramp = np.linspace(20_000, 20_200, 64 * 64).astype(np.uint16).reshape(64, 64)
    read = maps("depth", input="map").at_source_size(
        images.source_from_image(Image.fromarray(ramp))
    )
    assert (read.pixels.min(), read.pixels.max()) == (0, 255)
    assert len(np.unique(read.pixels)) > 150


def test_depth_can_be_the_other_way_round():
    ramp = np.repeat(np.linspace(255, 0, 48).astype(np.uint8)[:, None], 48, 1)
    given = images.source_from_image(Image.fromarray(ramp))
    upright = maps("depth", input="map").for_model(given, 32, Fit.STRETCH)
    turned = maps("depth", input="map", invert=True).for_model(given, 32, Fit.STRETCH)
    assert "--invert" in upright.notes[0]
    assert "inverted" in turned.notes[0]
    assert np.abs(upright.square.astype(int) + turned.square - 255).max() <= 1


def two_labels():
    labels = np.zeros((40, 40), np.uint8)
    labels[25:] = 7
    return images.source_from_image(Image.fromarray(labels))


def test_label_ids_become_the_colours_that_the_model_knows():
    ranked = maps("segmentation", input="map").at_source_size(two_labels()).pixels
    assert (ranked[0, 0] == palette(6)[0]).all() and (ranked[-1, 0] == palette(6)[1]).all()
    published = maps("segmentation", {"segmentation": ["maskformer"]}, input="map")
    named = published.at_source_size(two_labels())
    assert (named.pixels[0, 0] == coco_colours()[0]).all()
    assert (named.pixels[-1, 0] == coco_colours()[7]).all()
    assert "label ids" in named.notes[0]


def test_an_extractor_in_other_colours_is_brought_to_those_of_the_model(monkeypatch):
    source_of = maps("segmentation", extractor="maskformer")
    found = coco_colours()[np.repeat([[3], [3], [9]], 5, axis=1)]
    monkeypatch.setattr(MapSource, "extract", property(lambda self: lambda picture: found))
    styled = source_of.styled_map(np.zeros((3, 5, 3), np.uint8))
    assert (styled[0, 0] == palette(6)[0]).all() and (styled[2, 0] == palette(6)[1]).all()


def test_a_picture_of_one_class_fails_by_its_own_name(monkeypatch):
    source_of = maps("segmentation", extractor="maskformer")
    monkeypatch.setattr(MapSource, "extract", property(lambda self: np.zeros_like))
    with pytest.raises(ImageError, match=r"^sky\.jpg: is a map of one region"):
        source_of.for_model(source(np.zeros((9, 9, 3), np.uint8), "sky.jpg"), 32, Fit.STRETCH)


def test_transparency_is_white_to_an_extractor():
    pixels = np.full((40, 40, 3), 255, np.uint8)
    alpha = np.full((40, 40), 255, np.uint8)
    pixels[10:30, 10:30] = 0
    alpha[10:30, 10:30] = 0
    seen = source(pixels, alpha=alpha, mode="RGBA")
    assert not maps("canny").for_model(seen, 32, Fit.STRETCH).square.any()


def test_an_extractor_is_loaded_once_and_not_for_ready_made_maps(monkeypatch):
    mode, loads = load_mode("canny"), []
    from dataclasses import replace

    opencv = mode.extractors["opencv"]

    def load(settings):
        loads.append(settings)
        return opencv.load(settings)

    monkeypatch.setitem(mode.extractors, "opencv", replace(opencv, load=load))
    source_of = maps("canny")
    assert loads == []
    for seed in range(3):
        source_of.for_model(noise(40, 40, seed), 32, Fit.STRETCH)
    assert len(loads) == 1
    lines = np.zeros((40, 40, 3), np.uint8)
    lines[5] = 255
    maps("canny", input="map").for_model(source(lines), 32, Fit.STRETCH)
    assert len(loads) == 1


# A run with a model.


def record(monkeypatch, editor):
    """What the engine is given."""
    seen = []
    real = editor.engine.stream

    def stream(tasks, *more, **settings):
        def recorded():
            for task in tasks:
                seen.append(task)
                yield task

        return real(recorded(), *more, **settings)

    monkeypatch.setattr(editor.engine, "stream", stream)
    return seen


def test_the_engine_is_given_the_map_in_the_models_range_and_the_prompt(monkeypatch, editor):
    seen = record(monkeypatch, editor)
    running = session(editor)
    photos = [noise(50, 30, 1), noise(20, 70, 2)]
    make_all(running, photos, ["a lake", ""], [5, 6])
    opening = "Given the canny edge image, generate an image following the description: "
    assert [task.instruction for task in seen] == [opening + "a lake", opening]
    assert [task.seed for task in seen] == [5, 6]
    for task, photo in zip(seen, photos, strict=True):
        assert set(torch.unique(task.pixels).tolist()) == {-1.0, 1.0}
        square = running.maps.for_model(photo, 32, Fit.STRETCH).square
        assert np.array_equal(task.pixels.numpy(), to_model(square))


@pytest.mark.parametrize(
    ("mode", "prompt"),
    [
        ("canny", "Given the canny edge image, generate an image following the description: "),
        ("depth", "Given the depth image, generate an image following the description: "),
        (
            "segmentation",
            "Given the segmentation mask, generate an image following the description: ",
        ),
    ],
)
def test_prompts_are_the_published_ones_byte_for_byte(mode, prompt):
    assert load_mode(mode).prompt.encode() == prompt.encode()


@pytest.mark.parametrize("fit", list(Fit))
def test_a_result_has_the_size_of_the_part_that_the_model_saw(editor, fit):
    box = Geometry.of(source=(61, 40), size=32, fit=fit).source_box
    shape = (box[3] - box[1], box[2] - box[0], 3)
    running = session(editor, fit=fit, preview=True)
    (made,) = make_all(running, [noise(61, 40)], [""], [0])
    assert made.pixels.shape == made.beside["map"].shape == shape
    assert made.beside["preview"].shape == (shape[0], 3 * shape[1] + 16, 3)
    assert np.array_equal(made.beside["preview"][:, -shape[1] :], made.pixels)
    if fit is not Fit.CROP:
        assert shape == (40, 61, 3)
        assert np.array_equal(made.beside["preview"][:, :61], noise(61, 40).pixels)


def test_size_model_is_the_bare_square_and_its_enlargement_the_result(editor):
    photo = noise(61, 40)
    (square,) = make_all(session(editor, size="model"), [photo], [""], [0])
    (large,) = make_all(session(editor), [photo], [""], [0])
    assert square.pixels.shape == (32, 32, 3)
    assert square.beside["map"].shape == (40, 61, 3)
    small = Image.fromarray(large.pixels).resize((32, 32), Image.Resampling.BOX)
    assert np.abs(np.asarray(small, int) - square.pixels).mean() < 12


def test_a_map_that_was_given_is_not_shown_twice_in_a_preview(editor):
    lines = np.zeros((40, 60, 3), np.uint8)
    lines[20] = 255
    (made,) = make_all(session(editor, input="map", preview=True), [source(lines)], [""], [0])
    assert made.beside["preview"].shape == (40, 2 * 60 + 8, 3)
    assert np.array_equal(made.beside["preview"][:, :60], lines)


def test_what_is_no_map_fails_alone_and_the_others_are_as_without_it(editor):
    lines = [np.zeros((40, 60, 3), np.uint8) for _ in range(3)]
    lines[0][20] = 255
    lines[2][:, 30] = 255
    running = session(editor, input="map")
    black = source(lines[1], "black.png")
    first, failed, last = make_all(
        running, [source(lines[0]), black, source(lines[2])], ["a", "b", "c"], [1, 2, 3]
    )
    assert isinstance(failed, ImageError)
    assert str(failed).startswith("black.png: is an edge map with no edge in it")
    (alone,) = make_all(running, [source(lines[2])], ["c"], [3])
    assert np.array_equal(last.pixels, alone.pixels)
    assert not np.array_equal(first.pixels, last.pixels)


def test_where_nothing_is_a_map_the_model_is_not_asked(monkeypatch, editor):
    seen = record(monkeypatch, editor)
    running = session(editor, input="map")
    results = make_all(running, [source(np.zeros((9, 9, 3), np.uint8))] * 2, ["", ""], [0, 1])
    assert [type(result) for result in results] == [ImageError, ImageError]
    assert seen == []


def test_captions_and_seeds_matter_and_the_same_ones_give_the_same(editor):
    running, photo = session(editor), noise(50, 50)

    def made(text, seed):
        return make_all(running, [photo], [text], [seed])[0].pixels.tobytes()

    assert made("a lake", 1) == made("a lake", 1)
    assert made("a lake", 1) != made("a lake", 2)
    assert made("a lake", 1) != made("at night", 1)


def test_the_note_says_mode_and_where_the_map_came_from(editor):
    facts = session(editor, seed=4).facts
    assert facts["model"] == "tiny"
    assert (facts["mode"], facts["map"], facts["fit"]) == ("canny", "opencv", "stretch")
    assert "preserve" not in facts
    assert session(editor, input="map").facts["map"] == "given"


def test_seeds_are_those_of_an_edit_with_the_same_key(editor):
    from editar_cli.editor import EditSession

    edit = EditSession(editor, editor.options(), seed=4)
    running = session(editor, seed=4)
    assert running.picture_seed("a.jpg") == edit.picture_seed("a.jpg")
    assert running.picture_seed("a.jpg", 9) == edit.picture_seed("a.jpg", 9)
    assert running.picture_seed("a.jpg", 9) != running.picture_seed("a.jpg")


def test_running_out_of_memory_is_pythons_own_error(editor, monkeypatch):
    def fail(*_):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(editor.engine, "encode", fail)
    with pytest.raises(MemoryError):
        make_all(session(editor), [noise(40, 40)], [""], [0])
    monkeypatch.setattr(MapSource, "extract", property(lambda self: fail))
    with pytest.raises(MemoryError):
        make_all(map_session(), [noise(40, 40)], [""], [0])


# A run without one.


def map_session(mode="canny", **settings):
    if settings.get("input") != "map":
        settings.setdefault("extractor", EXTRACTORS[mode])
    return MapSession(MapSettings(mode=mode, **settings), SUITED)


def test_maps_alone_have_the_size_of_the_picture_and_no_chance_in_them():
    running = map_session(preview=True)
    (made,) = make_all(running, [noise(61, 40)], [""], [running.picture_seed("a", 7)])
    assert made.pixels.shape == (40, 61, 3)
    assert made.beside["preview"].shape == (40, 2 * 61 + 8, 3)
    assert "map" not in made.beside
    assert running.picture_seed("a", 7) == running.picture_seed("b") == 0
    assert running.facts == {"mode": "canny", "map": "opencv"}


def test_maps_alone_of_ready_made_maps_are_those_in_the_models_form():
    lines = np.full((40, 60, 3), 255, np.uint8)
    lines[20] = 0
    good, bad = make_all(
        map_session(input="map"), [source(lines), source(lines[:5], "white.png")], ["", ""], [0, 0]
    )
    assert np.array_equal(good.pixels, 255 - lines)
    assert "inverted" in good.notes[0]
    assert isinstance(bad, ImageError) and str(bad).startswith("white.png: ")


def test_an_extractor_that_cannot_be_loaded_ends_the_run(tmp_path):
    settings = MapSettings(
        mode="depth", extractor="small", extracting=ExtractorSettings(weights=Path("none"))
    )
    with pytest.raises(ModelError, match="none"):
        make_all(MapSession(settings, SUITED), [noise(40, 40)], [""], [0])


def test_one_thread_at_a_time_loads_the_extractor_and_draws_maps(monkeypatch):
    running, inside, most = map_session(), [], []
    opencv = load_mode("canny").extractors["opencv"].load(ExtractorSettings())

    def extract(picture):
        inside.append(picture)
        most.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return opencv(picture)

    monkeypatch.setattr(MapSource, "extract", property(lambda self: extract))
    threads = [
        threading.Thread(
            target=running.prepare, args=(Asked(source=noise(40, 40, seed), text="", seed=0),)
        )
        for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_a_new_picture_carries_over_format_and_resolution_only():
    exif = Image.Exif()
    exif[0x010F] = "camera"
    given = source(
        np.zeros((4, 4, 3), np.uint8),
        mode="LA",
        format="TIFF",
        alpha=np.zeros((4, 4), np.uint8),
        icc=b"profile",
        exif=exif,
        dpi=(300.0, 300.0),
    )
    new = new_picture(given)
    assert (new.mode, new.format, new.dpi) == ("RGB", "TIFF", (300.0, 300.0))
    assert (new.alpha, new.icc, new.exif, new.deep_grey) == (None, None, None, None)


def test_pictures_lie_beside_each_other_with_white_between():
    one, two = np.zeros((3, 2, 3), np.uint8), np.full((3, 4, 3), 9, np.uint8)
    row = beside_each_other([one, two], gap=1)
    assert row[0, :, 0].tolist() == [0, 0, 255, 9, 9, 9, 9]


def test_the_models_range_is_minus_one_to_one():
    square = np.array([[[0, 255, 255]]], np.uint8)
    assert to_model(square).ravel().tolist() == [-1.0, 1.0, 1.0]
