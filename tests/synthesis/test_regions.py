from __future__ import annotations

import numpy as np
import pytest

from editar_cli.synthesis import Photo
from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis import _regions as regions
from tests.synthesis.painted_photos import ball_mask, city, coast, field, mountain


def unit(photo: Photo) -> px.Array:
    return px.to_unit(photo)


def grid(size: int) -> tuple[px.Array, px.Array]:
    centres = (np.arange(size) + 0.5) / size
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return y, x


def test_the_sky_is_found_and_ends_at_the_horizon() -> None:
    weight = regions.sky(unit(field(256)))
    assert weight is not None
    y, _ = grid(256)
    assert weight[y < 0.42].mean() > 0.95
    assert weight[y > 0.48].mean() < 0.02


def test_there_is_no_sky_in_grass_or_noise_or_on_a_blank_wall() -> None:
    noise = np.random.default_rng(1).random((96, 96, 3), np.float32)
    assert regions.sky(noise) is None
    assert regions.sky(unit(field(256)[130:])) is None
    assert regions.sky(np.full((64, 64, 3), 0.8, np.float32)) is None


def test_grass_is_found_and_lies_low() -> None:
    weight = regions.greenery(unit(field(256)))
    assert weight is not None and regions.grows_low(weight)
    y, _ = grid(256)
    assert weight[y > 0.5].mean() > 0.9 and weight[y < 0.42].mean() < 0.01


def test_greenery_on_one_side_is_no_grass() -> None:
    weight = regions.greenery(unit(coast(256)))
    assert weight is not None and not regions.grows_low(weight)
    y, x = grid(256)
    assert weight[(y > 0.4) & (x < 0.27)].mean() > 0.9
    assert weight[x > 0.33].mean() < 0.02


def test_a_town_has_no_greenery_and_is_bare_for_certain() -> None:
    assert regions.greenery(unit(city(128))) is None
    assert regions.is_bare(unit(city(128)))
    assert not regions.is_bare(unit(field(128))) and not regions.is_bare(unit(mountain(128)))


def test_water_is_found_below_the_horizon_and_around_what_floats() -> None:
    weight = regions.water(unit(coast(256)))
    assert weight is not None
    y, x = grid(256)
    ball = ball_mask(256)
    sea = (y > 0.4) & (x > 0.33) & ~ball
    assert weight[sea].mean() > 0.85
    assert weight[y < 0.33].mean() < 0.01 and weight[x < 0.27].mean() < 0.02
    assert weight[ball].mean() < 0.15


@pytest.mark.parametrize("photo", [mountain(128), field(128), city(128)])
def test_where_nothing_blue_lies_low_there_is_no_water(photo: Photo) -> None:
    assert regions.water(unit(photo)) is None


def test_dry_land_is_told_from_a_coast() -> None:
    y, x = grid(96)
    sand = np.stack([0.75 + 0 * x, 0.60 + 0.05 * y, 0.40 + 0 * x], axis=-1).astype(np.float32)
    assert regions.is_dry(sand) and regions.is_dry(unit(field(96)))
    assert not regions.is_dry(unit(coast(96))) and not regions.is_dry(unit(city(96)))


def test_a_strong_hue_is_found_by_its_name_alone() -> None:
    picture = unit(coast(256))
    red = regions.one_hue(picture, "red")
    assert red is not None
    ball = ball_mask(256)
    assert red[ball].mean() > 0.9 and red[~ball].mean() < 0.01
    assert regions.one_hue(picture, "pink") is None and regions.one_hue(picture, "orange") is None


@pytest.mark.parametrize("colour", regions.HUES)
def test_a_part_takes_a_colour_and_keeps_its_light_and_shade(colour: str) -> None:
    picture = unit(field(128))
    weight = regions.greenery(picture)
    assert weight is not None
    edited = regions.recoloured(picture, weight, colour)
    named = regions.one_hue(unit(edited), colour)
    grass = weight > 0.9
    if colour in ("red", "blue", "purple", "pink"):
        assert named is not None and named[grass].mean() > 0.5
    before, after = (px.luminance(p)[grass] for p in (picture, unit(edited)))
    assert np.corrcoef(before, after)[0, 1] > 0.9
    assert np.array_equal(edited[weight == 0], field(128)[weight == 0])


def test_a_part_is_not_asked_to_be_what_it_is() -> None:
    picture = unit(coast(128))
    red, green = regions.one_hue(picture, "red"), regions.greenery(picture)
    assert red is not None and green is not None
    assert "red" not in regions.other_hues(picture, red)
    assert "green" not in regions.other_hues(picture, green)
    assert {"purple", "pink"} <= set(regions.other_hues(picture, green))


def test_parts_are_the_same_at_half_the_size() -> None:
    for find in (regions.sky, regions.greenery, regions.water):
        large, small = find(unit(coast(256))), find(unit(coast(128)))
        assert large is not None and small is not None
        assert np.abs(px.resize(large, 128, 128) - small).mean() < 0.02
