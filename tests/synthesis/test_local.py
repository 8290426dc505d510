"""What holds for every local effect."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from string import Formatter

import numpy as np
import pytest

from editar_cli.errors import UsageError
from editar_cli.synthesis._sentences import HELD_OUT_RECOLOURING, RECOLOURING
from editar_cli.synthesis.local import LOCAL_EFFECTS, local_names, make_local_pair
from tests.synthesis.painted_cutouts import cutouts
from tests.synthesis.painted_photos import city, coast, field, mountain

NAMES = tuple(LOCAL_EFFECTS)
CHANGES = tuple(name for name in NAMES if LOCAL_EFFECTS[name].kind != "identity")
PAINTED = tuple(name for name in NAMES if not LOCAL_EFFECTS[name].needs_cutouts)
THINGS = cutouts()


def test_the_families_are_there_in_a_fixed_order() -> None:
    assert NAMES == (
        "removal",
        "addition",
        "replacement",
        "recolour",
        "sky_colour",
        "greenery_colour",
        "water_colour",
        "swapped_colour",
        "absent",
    )
    assert all(LOCAL_EFFECTS[name].name == name for name in NAMES)
    assert local_names(cutouts=True) == NAMES
    assert local_names(cutouts=False) == PAINTED == NAMES[4:8]


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_is_the_same_again_from_the_same_seed_and_not_from_another(name: str) -> None:
    photo = coast(128)
    before = photo.copy()
    first, second, *others = (
        make_local_pair(photo, name, THINGS, seed=s) for s in (7, 7, 8, 9, 10)
    )
    assert first is not None and second is not None
    assert np.array_equal(first.source, second.source)
    assert np.array_equal(first.edited, second.edited)
    assert np.array_equal(first.mask, second.mask)
    assert first.instruction == second.instruction
    assert np.array_equal(photo, before)
    assert len({first.instruction, *(other.instruction for other in others)}) > 3
    pictures = {(p.source.tobytes(), p.edited.tobytes()) for p in (first, *others)}
    assert len(pictures) > 2


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize(
    "photo",
    [mountain(128), field(128), city(128), coast(128)],
    ids=["peak", "grass", "town", "coast"],
)
def test_source_and_edit_differ_inside_the_mask_alone(name: str, photo) -> None:
    for seed in range(12):
        pair = make_local_pair(photo, name, THINGS, seed=seed)
        if pair is None:
            assert name in PAINTED
            continue
        assert np.array_equal(pair.source[~pair.mask], pair.edited[~pair.mask])
        change = np.abs(pair.source.astype(int) - pair.edited).max(axis=2)
        assert 0.005 < pair.mask.mean() < 0.9
        assert (change[pair.mask] > 8).mean() > 0.2, (name, seed, pair.instruction)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (37, 61), (200, 9), (5, 333)])
def test_odd_and_tiny_sizes_keep_their_shape(name: str, shape: tuple[int, int]) -> None:
    photo = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for seed in range(3):
        pair = make_local_pair(photo, name, THINGS, seed=seed)
        if pair is None:
            assert name in PAINTED
            continue
        assert pair.source.shape == pair.edited.shape == photo.shape
        assert pair.source.dtype == pair.edited.dtype == np.uint8
        assert pair.mask.shape == shape and pair.mask.any() == (name in CHANGES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [(0, 0, 0), (255, 255, 255), (20, 130, 220)])
def test_pictures_of_one_colour_are_edited(name: str, value: tuple[int, int, int]) -> None:
    photo = np.full((64, 48, 3), value, np.uint8)
    with np.errstate(all="raise"):
        make_local_pair(photo, name, THINGS, seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_an_edit_is_the_same_at_half_the_size(name: str) -> None:
    large = make_local_pair(coast(512), name, THINGS, seed=5)
    small = make_local_pair(coast(256), name, THINGS, seed=5)
    assert large is not None and small is not None
    assert large.instruction == small.instruction
    cells = [p.edited.reshape(16, p.edited.shape[0] // 16, 16, -1, 3) for p in (large, small)]
    means = [c.astype(np.float32).mean(axis=(1, 3)) for c in cells]
    assert np.abs(means[0] - means[1]).mean() < 3


@pytest.mark.parametrize("name", NAMES)
def test_held_out_wordings_come_only_when_asked_for_and_show_the_same(name: str) -> None:
    effect = LOCAL_EFFECTS[name]
    photo = coast(48)
    kept_starts = {fixed_text(template) for template in effect.held_out_instructions}
    seen, kept = set(), set()
    for seed in range(30):
        trained = make_local_pair(photo, name, THINGS, seed=seed)
        held_out = make_local_pair(photo, name, THINGS, seed=seed, held_out_wording=True)
        assert trained is not None and held_out is not None
        assert np.array_equal(trained.edited, held_out.edited)
        assert np.array_equal(trained.source, held_out.source)
        seen.add(trained.instruction)
        kept.add(held_out.instruction)
    assert len(seen) > 12 and len(kept) > 8 and not seen & kept
    assert not any("{" in text or "  " in text for text in seen | kept)
    assert len(kept_starts) == len(effect.held_out_instructions)


def fixed_text(template: str) -> str:
    return "|".join(text for text, *_ in Formatter().parse(template)).casefold()


def test_no_template_serves_twice_but_where_families_share_their_sentences() -> None:
    shared = {*RECOLOURING, *HELD_OUT_RECOLOURING}
    counts = Counter(
        template.casefold()
        for effect in LOCAL_EFFECTS.values()
        if effect.name != "absent"
        for template in effect.instructions + effect.held_out_instructions
        if template not in shared
    )
    assert [template for template, count in counts.items() if count > 1] == []


def test_wordings_may_be_varied_but_never_to_one_kept_out() -> None:
    photo = coast(48)
    said, kept = set(), set()
    for seed in range(80):
        pair = make_local_pair(photo, "removal", THINGS, seed=seed, varied_wording=True)
        plain = make_local_pair(photo, "removal", THINGS, seed=seed)
        held_out = make_local_pair(photo, "removal", THINGS, seed=seed, held_out_wording=True)
        assert pair is not None and plain is not None and held_out is not None
        assert np.array_equal(pair.edited, plain.edited)
        said.add((pair.instruction, plain.instruction))
        kept.add(held_out.instruction)
    assert 0.2 < np.mean([one != other for one, other in said]) < 0.6
    assert not kept & {one for one, _ in said}


@pytest.mark.parametrize("name", PAINTED)
def test_what_is_found_in_the_photograph_needs_no_cutouts(name: str) -> None:
    assert make_local_pair(coast(64), name, None, seed=1) is not None


def test_things_without_cutouts_are_told() -> None:
    with pytest.raises(UsageError, match="addition: needs cut-outs"):
        make_local_pair(coast(32), "addition", None, seed=0)


def test_an_unknown_effect_is_named_together_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'theft'.*removal"):
        make_local_pair(field(16), "theft", THINGS, seed=0)


def test_importing_the_module_loads_neither_opencv_nor_torch() -> None:
    code = (
        "import sys, editar_cli.synthesis.local; "
        "sys.exit(any(name in sys.modules for name in ('cv2', 'torch', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
