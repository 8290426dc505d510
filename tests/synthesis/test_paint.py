from __future__ import annotations

import numpy as np
import pytest

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._paint import COLOURS, colour_name, main_area, other_colours, painted
from tests.synthesis.painted_cutouts import BLUE, GREEN, RED, YELLOW, cutout


def two_coloured(first, second, share):
    """An ellipse whose left part is of one colour and the rest of another."""
    picture = cutout(colour=second).picture.copy()
    split = round(share * picture.shape[1])
    picture[:, :split, :3] = cutout(colour=first).picture[:, :split, :3]
    return cutout().__class__("ball", picture)


@pytest.mark.parametrize(
    ("colour", "name"),
    [(RED, "red"), (GREEN, "green"), (BLUE, "blue"), (YELLOW, "yellow"), ((150, 150, 155), "grey")],
)
def test_a_plain_colour_has_its_name(colour: tuple[int, int, int], name: str) -> None:
    assert colour_name(cutout(colour=colour)) == name


def test_a_colour_between_two_names_has_none() -> None:
    assert colour_name(cutout(colour=(226, 40, 88))) is None
    assert colour_name(two_coloured(RED, GREEN, 0.5)) is None


def test_the_main_area_is_the_larger_part() -> None:
    thing = two_coloured(RED, BLUE, 0.3)
    found = main_area(thing)
    assert found is not None
    area, _, share = found
    assert share == pytest.approx(0.75, abs=0.08)
    assert area[30, 40:55].min() > 0.9 and area[30, 5:15].max() < 0.1


def test_many_colours_are_no_main_one() -> None:
    picture = cutout().picture.copy()
    for i, colour in enumerate((RED, GREEN, BLUE, YELLOW, (230, 230, 230))):
        picture[:, 12 * i : 12 * i + 12, :3] = colour
    thing = cutout().__class__("ball", picture)
    assert main_area(thing) is None
    assert other_colours(thing) == []
    assert painted(thing, "blue").picture.shape == picture.shape


def test_other_colours_are_clearly_others() -> None:
    assert "red" not in other_colours(cutout(colour=RED))
    assert "blue" in other_colours(cutout(colour=RED))


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("before", [RED, BLUE, (128, 128, 128), (30, 30, 30)])
def test_paint_brings_the_colour_and_leaves_the_rest(name: str, before) -> None:
    thing = cutout(colour=before)
    after = painted(thing, name)
    assert np.array_equal(after.picture[..., 3], thing.picture[..., 3])
    inside = after.picture[..., 3] > 0
    mean = px.to_lab(px.to_unit(after.picture[..., :3]))[inside].mean(axis=0)
    goal = px.to_lab(np.array([[COLOURS[name]]], np.float32) / 255)[0, 0]
    assert np.linalg.norm(mean - goal) < 12


def test_light_and_shade_stay_under_the_paint() -> None:
    thing = cutout(colour=RED)
    light = px.luminance(px.to_unit(painted(thing, "blue").picture[..., :3]))
    assert light[10, 30] > light[50, 30] + 0.02


def test_the_smaller_part_keeps_its_colour() -> None:
    thing = two_coloured(RED, BLUE, 0.3)
    after = painted(thing, "yellow").picture[..., :3].astype(int)
    assert np.abs(after - thing.picture[..., :3])[30, 5:15].max() <= 2
    assert np.abs(after - thing.picture[..., :3])[30, 40:55].min(axis=0).max() > 60
