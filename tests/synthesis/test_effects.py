"""What holds for every effect: interface, wordings, sizes, determinism."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import zlib
from collections import Counter

import numpy as np
import pytest

from editar_cli.errors import UsageError
from editar_cli.synthesis import EFFECTS, Effect, Photo, effect_names, make_pair
from editar_cli.synthesis.local import LOCAL_EFFECTS
from tests.synthesis.painted_photos import city, field, low_frequency, mountain

SNOW_DRAWS = (0.8048219324817528, 0.12144337422149909)
CHANGES = tuple(name for name in effect_names() if EFFECTS[name].kind != "identity")
RESTORATIONS = tuple(name for name in effect_names() if EFFECTS[name].kind == "restoration")


@pytest.fixture(scope="module")
def photos() -> tuple[Photo, ...]:
    return mountain(256), field(256), city(256)


def test_the_required_families_are_there_in_a_fixed_order() -> None:
    assert effect_names() == (
        "snow",
        "rain",
        "fog",
        "night",
        "sunset",
        "brighter",
        "darker",
        "black_and_white",
        "sepia",
        "warmer",
        "cooler",
        "autumn",
        "lush",
        "high_contrast",
        "low_contrast",
        "vintage",
        "vivid",
        "muted",
        "blur",
        "painting",
        "sketch",
        "cartoon",
        "negative",
        "red_tint",
        "green_tint",
        "blue_tint",
        "purple_tint",
        "yellow_tint",
        "pink_tint",
        "pop_art",
        "unchanged",
        "sharpen",
        "vignette",
        "golden_hour",
        "spring",
        "drought",
        "storm",
        "overcast",
        "sunny",
        "blue_hour",
        "cyanotype",
        "teal_and_orange",
        "posterize",
        "infrared",
        "sandstorm",
        "underwater",
        "pixelate",
        "watercolour",
        "thermal",
        "linocut",
        "dreamy",
        "neon",
        "miniature",
        "pastel",
        "denoise",
        "dehaze",
        "colourise",
        "deblur",
        "scratches",
        "relight",
        "white_balance",
        "unfade",
        "needless",
    )
    assert all(EFFECTS[name].name == name for name in EFFECTS)


@pytest.mark.parametrize("name", effect_names())
def test_a_pair_is_the_same_again_from_the_same_seed(name: str, photos: tuple[Photo, ...]) -> None:
    photo = photos[0]
    before = photo.copy()
    first, second = (make_pair(photo, name, seed=7) for _ in range(2))
    assert np.array_equal(first.source, second.source)
    assert np.array_equal(first.edited, second.edited)
    assert first.instruction == second.instruction
    assert np.array_equal(photo, before)
    assert np.array_equal(first.edited if name in RESTORATIONS else first.source, photo)


@pytest.mark.parametrize("name", effect_names())
def test_another_seed_changes_the_low_frequencies_little(
    name: str, photos: tuple[Photo, ...]
) -> None:
    photo = photos[0]
    draws = [make_pair(photo, name, seed=seed).edited for seed in range(4)]
    spread = max(
        float(np.abs(low_frequency(draw) - low_frequency(draws[0])).mean()) for draw in draws[1:]
    )
    assert spread < 13
    if EFFECTS[name].random:
        assert not np.array_equal(draws[0], draws[1])


def test_random_numbers_do_not_depend_on_the_machine() -> None:
    # The first numbers of the generator that snow draws from, seed 7.
    rng = np.random.default_rng([7, zlib.crc32(b"snow")])
    assert rng.random(2) == pytest.approx(SNOW_DRAWS, abs=1e-15)


@pytest.mark.parametrize("name", CHANGES)
def test_source_and_edit_of_every_scene_differ_visibly(
    name: str, photos: tuple[Photo, ...]
) -> None:
    for photo in photos:
        pair = make_pair(photo, name, seed=1)
        assert pair.mask.all()
        difference = np.abs(pair.edited.astype(np.float32) - pair.source).mean()
        least = 1.5 if name in ("deblur", "scratches") else 3
        assert difference > least, f"{name}: {difference:.1f}"


@pytest.mark.parametrize("name", effect_names())
@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (37, 61), (200, 9), (5, 333)])
def test_odd_and_tiny_sizes_keep_their_shape(name: str, shape: tuple[int, int]) -> None:
    photo = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pair = make_pair(photo, name, seed=0)
    assert pair.source.shape == pair.edited.shape == photo.shape
    assert pair.source.dtype == pair.edited.dtype == np.uint8
    assert pair.mask.shape == shape
    assert pair.mask.dtype == np.bool_


@pytest.mark.parametrize("name", RESTORATIONS)
def test_a_restoration_makes_the_photograph_out_of_a_damaged_one(name: str) -> None:
    photo = mountain(128)
    damaged = {make_pair(photo, name, seed=seed).source.tobytes() for seed in range(4)}
    assert len(damaged) == 4, "no two are damaged alike"
    for seed in range(4):
        assert np.array_equal(make_pair(photo, name, seed=seed).edited, photo)


@pytest.mark.parametrize("name", effect_names())
@pytest.mark.parametrize("value", [(0, 0, 0), (255, 255, 255), (20, 130, 220)])
def test_pictures_of_one_colour_are_edited(name: str, value: tuple[int, int, int]) -> None:
    photo = np.full((64, 48, 3), value, np.uint8)
    with np.errstate(all="raise"):
        assert make_pair(photo, name, seed=0).edited.shape == photo.shape


@pytest.mark.parametrize("name", effect_names())
def test_an_effect_looks_the_same_at_half_the_size(name: str) -> None:
    large, small = mountain(512), mountain(256)
    at_large, at_small = (make_pair(photo, name, seed=5) for photo in (large, small))
    for one, other in ((at_large.edited, at_small.edited), (at_large.source, at_small.source)):
        assert np.abs(low_frequency(one) - low_frequency(other)).mean() < 3.0


@pytest.mark.parametrize("name", effect_names())
def test_a_picture_that_is_not_contiguous_gives_the_same(name: str) -> None:
    photo = field(64)
    turned = photo[:, ::-1]
    first, second = (make_pair(one, name, seed=2) for one in (turned, turned.copy()))
    assert np.array_equal(first.edited, second.edited)
    assert np.array_equal(first.source, second.source)


def test_no_wording_serves_twice() -> None:
    # `needless` says what restorations say, of photographs that need none.
    counts = Counter(
        wording.casefold()
        for effect in EFFECTS.values()
        if effect.name != "needless"
        for wording in effect.instructions + effect.held_out_instructions
    )
    assert [wording for wording, count in counts.items() if count > 1] == []


def test_wordings_run_from_terse_to_chatty() -> None:
    for effect in EFFECTS.values():
        lengths = [len(wording.split()) for wording in effect.instructions]
        assert min(lengths) <= 2, effect.name
        assert max(lengths) >= 6, effect.name


def test_held_out_wordings_come_only_when_asked_for() -> None:
    photo = field(16)
    for name, effect in EFFECTS.items():
        seen = {make_pair(photo, name, seed=seed).instruction for seed in range(12)}
        kept = {
            make_pair(photo, name, seed=seed, held_out_wording=True).instruction
            for seed in range(12)
        }
        assert seen <= set(effect.instructions) and len(seen) > 3
        assert kept <= set(effect.held_out_instructions) and len(kept) > 1


def test_no_wording_is_of_training_and_kept_out_of_it() -> None:
    effects = [*EFFECTS.values(), *LOCAL_EFFECTS.values()]
    trained = {text.casefold() for effect in effects for text in effect.instructions}
    kept = {text.casefold() for effect in effects for text in effect.held_out_instructions}
    assert not trained & kept


def test_wordings_may_be_varied_but_never_to_one_kept_out() -> None:
    photo = field(16)
    for name in ("snow", "colourise", "posterize"):
        effect = EFFECTS[name]
        pairs = [make_pair(photo, name, seed=s, varied_wording=True) for s in range(60)]
        said = [pair.instruction for pair in pairs]
        listed = [text in effect.instructions for text in said]
        assert 0.4 < np.mean(listed) < 0.9
        assert not set(said) & set(effect.held_out_instructions)
        plain = make_pair(photo, name, seed=3)
        assert np.array_equal(plain.edited, pairs[3].edited)


def test_both_wordings_of_a_seed_show_the_same_edit() -> None:
    photo = mountain(64)
    for name in ("snow", "night", "warmer"):
        trained = make_pair(photo, name, seed=9)
        kept = make_pair(photo, name, seed=9, held_out_wording=True)
        assert np.array_equal(trained.edited, kept.edited)


def test_an_unknown_effect_is_named_together_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'hail'.*snow"):
        make_pair(field(16), "hail", seed=0)


def test_an_effect_checks_itself() -> None:
    with pytest.raises(ValueError, match="kind"):
        dataclasses.replace(EFFECTS["snow"], kind="weather")
    with pytest.raises(ValueError, match="fewer than 14"):
        dataclasses.replace(EFFECTS["snow"], instructions=("snow",))
    with pytest.raises(ValueError, match="held-out"):
        dataclasses.replace(EFFECTS["snow"], held_out_instructions=())


def test_importing_the_package_loads_neither_opencv_nor_torch() -> None:
    code = (
        "import sys, editar_cli.synthesis; "
        "sys.exit(any(name in sys.modules for name in ('cv2', 'torch', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_effect_is_exported_for_new_families() -> None:
    assert all(isinstance(effect, Effect) for effect in EFFECTS.values())
