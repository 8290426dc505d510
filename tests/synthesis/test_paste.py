from __future__ import annotations

import numpy as np
import pytest

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._paste import Spot, beside, lay, over, random_spot
from tests.synthesis.painted_cutouts import cutout
from tests.synthesis.painted_photos import field


def grey(value: float, height: int = 120, width: int = 160):
    return np.full((height, width, 3), value, np.float32)


def test_a_thing_stands_where_it_is_put() -> None:
    layer = lay(grey(0.5), cutout(), Spot(0.25, 0.9, 0.3))
    left, top, right, bottom = layer.box
    assert layer.centre[0] == pytest.approx(0.25, abs=0.01)
    assert bottom == pytest.approx(0.9, abs=0.01)
    side = 0.3 * np.sqrt(120 * 160)
    assert (right - left) * 160 == pytest.approx(side, abs=1)
    assert (bottom - top) * 120 == pytest.approx(side, abs=1)
    covered = np.argwhere(layer.cover > 0.5).mean(axis=0)
    assert covered == pytest.approx(((top + bottom) * 60, (left + right) * 80), abs=1)


def test_a_thing_never_reaches_over_an_edge() -> None:
    for x, base in ((0, 0), (1, 1), (0, 1.2), (1, 0.1)):
        left, top, right, bottom = lay(grey(0.5), cutout(), Spot(x, base, 0.4)).box
        assert left >= 0 and top >= 0 and right <= 1 and bottom <= 1


def test_a_picture_changes_inside_the_mask_alone_and_all_over_the_thing() -> None:
    photo = field(128)
    picture = px.to_unit(photo)
    layer = lay(picture, cutout(colour=(200, 30, 200)), Spot(0.5, 0.8, 0.4))
    after = over(picture, [layer])
    assert np.array_equal(after[~layer.mask], photo[~layer.mask])
    assert (np.abs(after.astype(int) - photo)[layer.cover > 0.9].sum(axis=1) > 60).all()


def test_the_edge_is_soft_and_without_a_dark_rim() -> None:
    layer = lay(grey(1.0, 256, 256), cutout(colour=(255, 255, 255)), Spot(0.5, 0.8, 0.4))
    rim = (layer.cover > 0.02) & (layer.cover < 0.98)
    assert rim.sum() > 100
    assert layer.colours[rim].min() > 0.8


def test_a_thing_on_the_ground_has_a_shadow_under_it_and_one_in_the_air_none() -> None:
    grounded = lay(grey(0.8), cutout(), Spot(0.5, 0.7, 0.3))
    rows = np.argwhere(grounded.shadow > 0.1)[:, 0]
    assert rows.max() / 120 > 0.7 and rows.min() / 120 > 0.5
    assert over(grey(0.8), [grounded])[int(0.72 * 120), 80].max() < 190
    assert not lay(grey(0.8), cutout(airborne=True), Spot(0.5, 0.7, 0.3)).shadow.any()


def test_a_thing_is_in_the_light_of_its_photograph() -> None:
    def look(photo):
        layer = lay(photo, cutout(colour=(180, 180, 180)), Spot(0.5, 0.7, 0.3))
        return layer.colours[layer.cover > 0.9].mean(axis=0)

    dark, bright = look(grey(0.1)), look(grey(0.7))
    assert bright.mean() > 1.4 * dark.mean()
    warm = grey(0.5) * np.float32([1.2, 1.0, 0.7])
    assert look(warm)[0] > look(warm)[2] + 0.05


def test_a_flipped_thing_is_mirrored() -> None:
    half = cutout()
    half.picture[:, 30:, 3] = 0
    straight = lay(grey(0.5), half, Spot(0.5, 0.7, 0.3)).cover
    turned = lay(grey(0.5), half, Spot(0.5, 0.7, 0.3, flip=True)).cover
    assert np.argwhere(straight > 0.5)[:, 1].mean() < 80 < np.argwhere(turned > 0.5)[:, 1].mean()


def test_random_spots_lie_low_and_those_of_flying_things_high() -> None:
    rng = np.random.default_rng(0)
    ground = np.mean([random_spot(cutout(), rng).base for _ in range(200)])
    air = np.mean([random_spot(cutout(airborne=True), rng).base for _ in range(200)])
    assert air < 0.5 < 0.75 < ground


def test_a_second_thing_stands_clear_of_the_first() -> None:
    rng = np.random.default_rng(1)
    first = lay(grey(0.5), cutout(), Spot(0.5, 0.9, 0.3))
    found = [beside(grey(0.5), cutout("cat"), [first], rng) for _ in range(20)]
    assert sum(layer is not None for layer in found) > 10
    assert not any(layer.overlaps(first) for layer in found if layer is not None)
    assert first.overlaps(first)


def test_where_there_is_no_room_there_is_no_second_thing() -> None:
    wall = lay(grey(0.5), cutout(height=10, width=300), Spot(0.5, 0.6, 9.0))
    crowd = [lay(grey(0.5), cutout(), Spot(x, b, 9.0)) for x in (0.1, 0.5, 0.9) for b in (0.5, 1)]
    assert beside(grey(0.5), cutout(), [wall, *crowd], np.random.default_rng(0)) is None
