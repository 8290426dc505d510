import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from editar_cli import Editor
from editar_cli.checkpoints.lora import LoraChoice
from editar_cli.checkpoints.merge import merge
from editar_cli.checkpoints.native import read_config
from editar_cli.editor import LARGE, EditSession, choose_device, choose_dtype, threads_beside
from editar_cli.embedded import embedded_folder
from editar_cli.errors import CheckpointError, DeviceError, ImageError, UsageError
from editar_cli.geometry import Fit
from editar_cli.images import source_from_image
from editar_cli.masks import AreaSettings, Region
from editar_cli.models.gpt import GPTConfig
from editar_cli.models.linear import has_int8_kernel
from editar_cli.models.presets import GPT_PRESETS
from editar_cli.modes._settings import MapSettings
from editar_cli.pipeline import Asked, make_all
from editar_cli.translator import TranslateSession
from tests.lora_files import tiny_lora_layers, write_lora


@pytest.fixture(scope="module")
def editor(tiny_bundle):
    return Editor.load(tiny_bundle, device="cpu")


def picture(width=60, height=40, mode="RGB", seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    small = Image.fromarray(noise)
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK"])
def test_an_edit_has_the_sources_size_and_mode(editor, mode):
    edited = editor.edit(picture(mode=mode), "make it snowy")
    assert edited.size == (60, 40)
    assert edited.mode == mode


def test_the_same_seed_gives_the_same_picture_and_another_does_not(editor):
    first, second, other = (
        np.asarray(editor.edit(picture(), "make it snowy", seed=seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_the_instruction_and_the_sampling_matter(editor):
    def edited(instruction="make it snowy", **sampling):
        return np.asarray(editor.edit(picture(), instruction, **sampling)).tobytes()

    assert edited() != edited("at night")
    assert edited() != edited(guidance=6.0)
    assert edited(temperature=0.0) == edited(temperature=0.0, seed=9)
    assert edited(top_k=1) == edited(top_k=1, seed=9)


def test_a_path_gives_what_the_command_line_gives(editor, tiny_bundle, call_editar, tmp_path):
    picture().save(tmp_path / "in.png")
    command = ("edit", "in.png", "make it snowy", "--seed", "5", "--model", tiny_bundle)
    result = call_editar(*command, "--device", "cpu")
    assert result.returncode == 0, result.stderr
    ours = editor.edit(tmp_path / "in.png", "make it snowy", seed=5)
    theirs = Image.open(tmp_path / "in.edited.png")
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_size_model_is_the_bare_square(editor):
    assert editor.edit(picture(), "x", size="model").size == (32, 32)


def test_what_is_left_out_is_the_models_own(editor):
    options = editor.options()
    assert options.sampling == editor.config.sampling
    assert options.fit is Fit.STRETCH
    changed = editor.options(guidance=7.0, fit="crop")
    assert (changed.sampling.guidance, changed.sampling.top_k) == (7.0, 16)
    assert changed.fit is Fit.CROP


def test_wrong_values_name_themselves(editor):
    with pytest.raises(UsageError, match="--top-p"):
        editor.options(top_p=0.0)
    with pytest.raises(UsageError, match="fit squeeze: must be one of stretch, crop, pad"):
        editor.options(fit="squeeze")
    with pytest.raises(UsageError, match="size huge"):
        editor.options(size="huge")


def made(session, sources, seeds, text="make it snowy", **more):
    asked = [
        Asked(source=source, text=text, seed=seed)
        for source, seed in zip(sources, seeds, strict=True)
    ]
    return make_all(session, asked, **more)


def test_a_batch_of_different_sizes_equals_its_pictures_one_by_one(editor):
    session = EditSession(editor, editor.options(), seed=3)
    sources = [source_from_image(picture(20 + 9 * i, 50 - 7 * i, seed=i)) for i in range(5)]
    seeds = [session.picture_seed(str(i)) for i in range(5)]
    together = made(session, sources, seeds, slots=3)
    for source, seed, expected in zip(sources, seeds, together, strict=True):
        (alone,) = made(session, [source], [seed])
        assert np.array_equal(alone.pixels, expected.pixels)


def test_a_run_over_many_pictures_gets_what_an_edit_gives(editor):
    session = EditSession(editor, editor.options(), seed=3)
    source = source_from_image(picture(mode="RGBA"))
    (one,) = made(session, [source], [session.picture_seed("-")])
    edited = editor.edit(picture(mode="RGBA"), "make it snowy", seed=3)
    assert np.array_equal(one.pixels, np.asarray(edited)[..., :3])
    assert one.like is source
    assert (dict(one.beside), one.notes) == ({}, ())


def test_a_seed_of_its_own_stands_in_for_that_of_the_run(editor):
    one, other = (EditSession(editor, editor.options(), seed=seed) for seed in (1, 2))
    assert one.picture_seed("a") != other.picture_seed("a")
    assert one.picture_seed("a", 2) == other.picture_seed("a")
    assert one.picture_seed("a", 2) != one.picture_seed("b", 2)


def edges(width=60, height=40):
    pixels = np.zeros((height, width), np.uint8)
    pixels[height // 2] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK"])
def test_a_translation_has_the_sources_size_and_is_rgb(editor, mode):
    made = editor.translate(picture(mode=mode), "canny", "a lake", extractor="opencv")
    assert (made.size, made.mode) == ((60, 40), "RGB")
    square = editor.translate(picture(mode=mode), "canny", extractor="opencv", size="model")
    assert square.size == (32, 32)


def test_caption_seed_mode_and_sampling_of_a_translation_matter(editor):
    def made(mode="canny", caption="a lake", extractor="opencv", **more):
        pixels = editor.translate(picture(), mode, caption, extractor=extractor, **more)
        return np.asarray(pixels).tobytes()

    assert made() == made()
    assert made() != made(seed=1)
    assert made() != made(caption="at night")
    assert made() != made(mode="segmentation", extractor="regions")
    assert made(temperature=0.0) == made(temperature=0.0, seed=9)


def test_a_translated_path_gives_what_the_command_line_gives(
    editor, tiny_bundle, call_editar, tmp_path
):
    picture().save(tmp_path / "in.png")
    command = ("translate", "--mode", "canny", "--extractor", "opencv", "in.png", "a lake")
    more = ("--seed", "5", "--model", tiny_bundle, "--device", "cpu")
    result = call_editar(*command, *more)
    assert result.returncode == 0, result.stderr
    ours = editor.translate(tmp_path / "in.png", "canny", "a lake", seed=5, extractor="opencv")
    theirs = Image.open(tmp_path / "in.canny.png")
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_a_map_can_be_translated_either_way_round(editor):
    upright = editor.translate(edges(), "canny", input="map")
    turned = editor.translate(Image.eval(edges(), lambda v: 255 - v), "canny", input="map")
    assert np.array_equal(np.asarray(upright), np.asarray(turned))


def test_what_cannot_be_translated_says_why(editor):
    with pytest.raises(ImageError, match="is in colour"):
        editor.translate(picture(), "canny", input="map")
    with pytest.raises(UsageError, match="--mode sketch"):
        editor.translate(picture(), "sketch")
    with pytest.raises(UsageError, match="--invert"):
        editor.translate(picture(), "depth", invert=True)
    with pytest.raises(UsageError, match="--extractor and --input map"):
        editor.translate(edges(), "canny", input="map", extractor="opencv")
    with pytest.raises(UsageError, match="--top-p"):
        editor.translate(picture(), "canny", top_p=0.0)


def test_progress_counts_pictures(editor):
    seen = []
    session = EditSession(editor, editor.options())
    made(
        session,
        [source_from_image(picture(seed=i)) for i in range(2)],
        [0, 1],
        on_drawn=seen.append,
    )
    assert sum(seen) == pytest.approx(2)
    assert len(seen) > 2 and min(seen) >= 0


def test_running_out_of_memory_is_pythons_own_error(editor, monkeypatch):
    session = EditSession(editor, editor.options())

    def fail(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(editor.engine, "encode", fail)
    with pytest.raises(MemoryError):
        made(session, [source_from_image(picture(seed=99))], [0])


def test_threads_leave_a_model_on_the_cpu_its_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(16), raising=False)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for taken, expected in ((16, 0), (20, 0), (14, 2), (8, 4)):
        monkeypatch.setattr(torch, "get_num_threads", lambda taken=taken: taken)
        assert threads_beside(cpu) == expected
        assert threads_beside(cuda) == 4
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert (threads_beside(cpu), threads_beside(cuda)) == (0, 1)


def test_an_animated_picture_is_refused(editor, tmp_path):
    frames = [picture(seed=i) for i in range(3)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="3 frames"):
        editor.edit(tmp_path / "in.gif", "x")


def test_a_folder_that_is_no_bundle_is_a_checkpoint_error(tmp_path):
    with pytest.raises(CheckpointError):
        Editor.load(tmp_path, device="cpu")


def test_devices_are_chosen_by_name_and_refused_by_name():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("tpu", "meta", "cpu:x"):
        with pytest.raises(UsageError, match=f"--device {name}"):
            choose_device(name)
    with pytest.raises(DeviceError, match="cuda:99"):
        choose_device("cuda:99")


def test_number_formats_follow_the_device():
    assert choose_dtype("auto", torch.device("cpu")) is torch.float32
    assert choose_dtype("auto", torch.device("cuda")) is torch.bfloat16
    assert choose_dtype("float16", torch.device("cpu")) is torch.float16
    assert choose_dtype("float32", torch.device("cuda"), large=True) is torch.float32
    with pytest.raises(UsageError, match="--dtype int8"):
        choose_dtype("int8", torch.device("cpu"))


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_large_models_take_the_short_format_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, native: bool, expected: torch.dtype
):
    monkeypatch.setattr("editar_cli.editor.has_bfloat16", lambda: native)
    assert choose_dtype("auto", torch.device("cpu"), large=True) is expected
    assert choose_dtype("auto", torch.device("mps"), large=True) is torch.float32


def test_the_embedded_model_is_small_and_gpt_xl_is_large():
    mini = read_config(embedded_folder()).transformer
    published = GPTConfig(**GPT_PRESETS["gpt-xl"], vocab_size=16384, grid=32)
    assert mini.parameters < LARGE < published.parameters


@pytest.mark.skipif(not has_int8_kernel("cpu", torch.bfloat16), reason="no int8 kernel here")
def test_8_bit_weights_edit_and_say_so(tiny_bundle, tmp_path):
    source = picture()
    plain = Editor.load(tiny_bundle, device="cpu", dtype="bfloat16")
    small = Editor.load(tiny_bundle, device="cpu", dtype="bfloat16", quantize="int8")
    assert small.edit(source, "make it snowy").size == source.size
    session = EditSession(small, small.options())
    assert session.facts["weights"] == "int8" and session.facts["dtype"] == "bfloat16"
    assert "weights" not in EditSession(plain, plain.options()).facts
    layer = small.engine.transformer.blocks[0].mlp.down
    assert layer.weight.dtype is torch.int8


def test_8_bit_weights_with_float32_on_a_cpu_are_refused(tiny_bundle):
    with pytest.raises(UsageError, match=r"--quantize int8: .* --dtype bfloat16"):
        Editor.load(tiny_bundle, device="cpu", dtype="float32", quantize="int8")


def test_an_adapter_changes_results_by_its_scale_and_is_named(tiny_bundle, tmp_path):
    lora = write_lora(tmp_path / "look", tiny_lora_layers(dim=32))
    plain, off, on = (
        Editor.load(tiny_bundle, device="cpu", loras=loras) for loras in ((), [f"{lora}:0"], [lora])
    )
    results = [np.asarray(e.edit(picture(), "make it snowy")) for e in (plain, off, on)]
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
    assert "lora" not in plain.facts
    session = EditSession(on, on.options())
    assert [text.split()[0] for text in session.facts["lora"]] == ["look:1"]
    maps = TranslateSession(on, on.options(translating=True), MapSettings(mode="canny"))
    assert maps.facts["lora"] == session.facts["lora"]


@pytest.mark.skipif(not has_int8_kernel("cpu", torch.bfloat16), reason="no int8 kernel here")
def test_8_bit_weights_are_made_of_the_sum_with_an_adapter(tiny_bundle, tmp_path):
    lora = write_lora(tmp_path / "look", tiny_lora_layers(dim=32))
    merge(tiny_bundle, [LoraChoice(path=lora)], tmp_path / "merged", dtype=torch.float32)
    both = [
        Editor.load(model, device="cpu", dtype="bfloat16", quantize="int8", loras=loras)
        for model, loras in ((tiny_bundle, [lora]), (tmp_path / "merged", []))
    ]
    first, second = (e.engine.transformer.blocks[0].attention.qkv for e in both)
    assert torch.equal(first.weight, second.weight) and torch.equal(first.scale, second.scale)
    results = [np.asarray(e.edit(picture(), "make it snowy")) for e in both]
    assert np.array_equal(*results)


def test_a_variation_is_what_preparing_with_its_seed_gives(editor):
    source = source_from_image(picture())
    session = EditSession(editor, editor.options(), seed=1)
    asked = Asked(source=source, text="make it snowy", seed=5)
    first = session.prepare(asked)
    other, same = session.vary(first, 6), session.prepare(replace(asked, seed=6))
    assert (other.seed, other.prompt) == (6, "make it snowy") and other.source is source
    assert np.array_equal(other.square, same.square)
    settings = MapSettings(mode="canny")
    maps = TranslateSession(editor, editor.options(translating=True), settings)
    first = maps.prepare(Asked(source=source, text="a hill", seed=5))
    assert maps.vary(first, 6).seed == 6
    assert maps.vary(first, 6).found is first.found, "the map is drawn once"


# Masks.


def sky(width=60, height=40):
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2] = 255
    return Image.fromarray(mask)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "I;16"])
@pytest.mark.parametrize("preserve", [True, False])
def test_outside_of_a_mask_every_mode_stays_bit_for_bit(editor, mode, preserve):
    if mode == "I;16":
        deep = np.random.default_rng(1).integers(0, 65536, (40, 60)).astype(np.uint16)
        image = Image.fromarray(deep)
    else:
        image = picture().convert(mode)
    result = editor.edit(image, "make it snowy", mask=sky(), preserve=preserve)
    plain = image.convert("RGB") if mode == "P" else image
    before, after = np.asarray(plain), np.asarray(result)
    assert result.mode == plain.mode
    assert np.array_equal(after[20:], before[20:])
    assert not np.array_equal(after[:20], before[:20])


def test_a_full_mask_is_no_mask_and_an_empty_one_no_edit(editor):
    image = picture()
    whole = editor.edit(image, "make it snowy")
    white, black = (Image.new("L", image.size, level) for level in (255, 0))
    assert np.array_equal(editor.edit(image, "make it snowy", mask=white), whole)
    assert np.array_equal(editor.edit(image, "make it snowy", region=(0, 0, 60, 40)), whole)
    assert np.array_equal(editor.edit(image, "make it snowy", mask=black), image)
    assert not np.array_equal(whole, image)


def test_pictures_that_nothing_may_change_in_never_reach_the_model(editor, monkeypatch):
    sources = [source_from_image(picture(seed=i), name=f"{i}") for i in range(4)]
    masks = [np.full((40, 60), 255 * (i in (1, 2)), np.uint8) for i in range(4)]
    asked = [
        Asked(source=source, text="make it snowy", seed=i, mask=mask)
        for i, (source, mask) in enumerate(zip(sources, masks, strict=True))
    ]
    tasks, drawn = [], []
    stream = editor.engine.stream

    def watched(given, *more, **settings):
        yield from stream((tasks.append(task) or task for task in given), *more, **settings)

    monkeypatch.setattr(editor.engine, "stream", watched)
    session = EditSession(editor, editor.options())
    results = make_all(session, asked, slots=2, on_drawn=drawn.append)
    assert [task.seed for task in tasks] == [1, 2]
    assert sum(drawn) == pytest.approx(4)
    for i in (0, 3):
        assert np.array_equal(results[i].pixels, sources[i].pixels)
        assert results[i].notes == ("its mask lets nothing change: the result is the source",)
    monkeypatch.undo()
    alone = make_all(session, [replace(asked[1], mask=None)])
    assert np.array_equal(results[1].pixels, alone[0].pixels)


def test_memory_that_runs_out_is_not_blamed_on_pictures_without_the_model(editor, monkeypatch):
    def none(given, *more, **settings):
        list(given)
        raise MemoryError
        yield

    monkeypatch.setattr(editor.engine, "stream", none)
    session = EditSession(editor, editor.options())
    asked = [
        Asked(
            source=source_from_image(picture()),
            text="x",
            seed=0,
            mask=np.full((40, 60), level, np.uint8),
        )
        for level in (0, 255)
    ]
    stream = session.stream([session.prepare(one) for one in asked], slots=1)
    assert next(stream)[0] == 0
    with pytest.raises(MemoryError):
        next(stream)


def test_codes_outside_of_a_mask_are_forced(editor):
    session = EditSession(editor, editor.options(area=AreaSettings(zoom=False)))
    asked = Asked(
        source=source_from_image(picture()), text="at night", seed=0, mask=np.asarray(sky())
    )
    prepared = session.prepare(asked)
    assert prepared.area.cells[:4].all() and not prepared.area.cells[4:].any()
    ((_, drawn),) = session.stream([prepared], slots=1)
    before, after = drawn.codes
    assert np.array_equal(before[4:], after[4:]) and not np.array_equal(before[:4], after[:4])


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("zoom", [True, False])
def test_a_region_holds_for_every_fit_and_closeness(editor, fit, zoom):
    image = picture(150, 90)
    result = editor.edit(image, "x", region="60,30,40,30", feather=0, fit=fit.value, zoom=zoom)
    before, after = np.asarray(image).astype(int), np.asarray(result)
    changed = (before != after).any(axis=2)
    inside = np.zeros_like(changed)
    inside[30:60, 60:100] = True
    assert not changed[~inside].any() and changed[inside].mean() > 0.5


def test_a_feather_blends_source_and_edit_inside_the_mask(editor):
    image = picture(seed=3)
    hard, soft = (
        np.asarray(editor.edit(image, "x", mask=sky(), feather=feather)).astype(float)
        for feather in (0, 8)
    )
    before = np.asarray(image).astype(float)
    share = (np.abs(soft - before).sum(axis=(1, 2)) + 1) / (np.abs(hard - before).sum((1, 2)) + 1)
    assert share[:11] == pytest.approx(1, abs=0.02), "beyond the feather"
    assert (np.diff(share[11:20]) < 0).all() and share[19] < 0.1
    assert np.array_equal(soft[20:], before[20:])


def test_in_the_bare_square_the_source_stands_outside_of_the_mask(editor):
    image = picture()
    plain = np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS))
    result = editor.edit(image, "x", mask=sky(), feather=0, size="model", fit="stretch", zoom=False)
    assert np.abs(np.asarray(result).astype(int) - plain)[16:].max() <= 1
    assert not np.array_equal(np.asarray(result)[:16], plain[:16])


def test_masks_that_do_not_go_with_their_picture_are_refused(editor, tmp_path):
    with pytest.raises(ImageError, match=r"mask: is 40 x 60, but picture is 60 x 40"):
        editor.edit(picture(), "x", mask=sky(40, 60))
    with pytest.raises(ImageError, match=r"lies outside of it"):
        editor.edit(picture(), "x", region="70,0,5,5")
    with pytest.raises(ImageError, match=r"none\.png"):
        editor.edit(picture(), "x", mask=tmp_path / "none.png")


def test_region_and_feather_stand_in_the_note_of_each_output(editor):
    area = AreaSettings(region=Region.parse("0,0,50%,50%"), feather=2, invert=True, zoom=False)
    facts = EditSession(editor, editor.options(area=area)).facts
    expected = {"region": "0,0,50%,50%", "feather": 2, "invert_mask": True, "zoom": False}
    assert expected.items() <= facts.items()
    assert not expected.keys() & EditSession(editor, editor.options()).facts.keys()
