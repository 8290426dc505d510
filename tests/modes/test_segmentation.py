import numpy as np
import pytest

from editar_cli.modes.segmentation import PROMPT, closest, palette, region_map


def two_halves() -> np.ndarray:
    picture = np.full((60, 90, 3), (40, 120, 220), np.uint8)
    picture[40:] = (60, 110, 30)
    return picture


def test_a_map_has_few_flat_colours_of_the_palette():
    noise = np.random.default_rng(0)
    picture = np.clip(two_halves() + noise.normal(0, 20, (60, 90, 3)), 0, 255).astype(np.uint8)
    found = region_map(picture)
    assert found.shape == picture.shape and found.dtype == np.uint8
    colours = {tuple(c) for c in found.reshape(-1, 3)}
    assert colours <= {tuple(c) for c in palette(6)}
    assert 2 <= len(colours) <= 6


def test_different_colours_lie_in_different_regions():
    found = region_map(two_halves(), regions=2)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 2
    assert (found[:38] == found[0, 0]).all() and (found[42:] == found[-1, 0]).all()


def test_the_largest_region_takes_the_first_colour():
    found = region_map(two_halves(), regions=2)
    first, second = palette(2)
    assert (found[0, 0] == first).all() and (found[-1, 0] == second).all()
    upside_down = region_map(np.ascontiguousarray(two_halves()[::-1]), regions=2)
    assert (upside_down[-1, 0] == first).all()


def test_sky_and_water_of_one_colour_part_by_height():
    picture = np.full((60, 60, 3), (90, 130, 200), np.uint8)
    picture[25:35] = (40, 60, 20)
    found = region_map(picture, regions=3)
    assert (found[5, 30] != found[55, 30]).any()


def test_the_map_is_a_function_of_the_picture():
    picture = two_halves()
    assert np.array_equal(region_map(picture), region_map(picture.copy()))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (16, 16)])
def test_small_and_narrow_pictures_work(size: tuple[int, int]):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    assert region_map(picture).shape == (*size, 3)


def test_the_nearest_centre_is_found():
    points = np.array([[0.0, 0.0], [9.0, 1.0], [2.0, 7.0]], np.float32)
    centres = np.array([[1.0, 8.0], [8.0, 0.0], [1.0, 1.0]], np.float32)
    assert closest(points, centres).tolist() == [2, 1, 0]


def test_the_palette_is_fixed_and_its_colours_lie_apart():
    colours = palette(6).astype(int)
    assert np.array_equal(colours[:3], palette(3))
    apart = np.abs(colours[:, None] - colours[None]).sum(2)
    assert apart[~np.eye(6, dtype=bool)].min() > 60


def test_the_prompt_is_the_one_trained_with():
    assert PROMPT == "Given the segmentation mask, generate an image following the description: "
