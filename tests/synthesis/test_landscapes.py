import numpy as np
import pytest

from editar_cli.synthesis.landscapes import Landscape, make_landscape
from tests.synthesis.painted_photos import city, field, mountain

PHOTOS = [mountain(64), field(64), city(48)]
SIZE = 64


def cutout() -> np.ndarray:
    """A magenta disc on nothing, RGBA."""
    y, x = np.mgrid[-1:1:24j, -1:1:24j]
    picture = np.zeros((24, 24, 4), np.uint8)
    picture[..., 0] = picture[..., 2] = 255
    picture[..., 3] = np.where(x**2 + y**2 < 1, 255, 0)
    return picture


def landscapes(cutouts: list[np.ndarray], count: int = 60) -> list[Landscape]:
    return [make_landscape(PHOTOS, cutouts, seed=i, size=SIZE) for i in range(count)]


@pytest.fixture(scope="module")
def many() -> list[Landscape]:
    return landscapes([cutout()])


def test_a_picture_is_a_function_of_its_seed(many: list[Landscape]):
    for seed in (3, 11):
        again = make_landscape(PHOTOS, [cutout()], seed=seed, size=SIZE)
        assert np.array_equal(again.image, many[seed].image)
        assert np.array_equal(again.inverse_depth, many[seed].inverse_depth)
    assert not np.array_equal(many[3].image, many[11].image)


def test_picture_and_depth_have_the_size_asked_for():
    for size in (16, 40, 101):
        made = make_landscape(PHOTOS, [cutout()], seed=size, size=size)
        assert made.image.shape == (size, size, 3) and made.image.dtype == np.uint8
        assert made.inverse_depth.shape == (size, size)
        assert made.inverse_depth.dtype == np.float32


def test_depth_runs_from_infinity_to_the_nearest_point(many: list[Landscape]):
    for made in many:
        assert made.inverse_depth.min() >= 0 and made.inverse_depth.max() == 1
        assert np.isfinite(made.inverse_depth).all()
    # Nearly every picture has some sky.
    assert np.mean([(made.inverse_depth == 0).any() for made in many]) > 0.9


def test_the_top_is_sky_and_the_bottom_never_is(many: list[Landscape]):
    sky = np.mean([made.inverse_depth == 0 for made in many], axis=(0, 2))
    assert sky[0] > 0.6
    assert sky[-1] == 0
    assert (np.diff(sky) <= 0.02).all(), "sky is above everything"


def test_the_ground_comes_nearer_towards_the_bottom(many: list[Landscape]):
    near = np.mean([made.inverse_depth for made in many], axis=(0, 2))
    assert near[-1] > 0.75 and near[-SIZE // 4] > 2 * near[SIZE // 4]
    assert near[SIZE // 8] < 0.25
    for made in many:
        rows = made.inverse_depth.mean(1)
        horizon = int(np.argmax((made.inverse_depth > 0).all(1)))
        assert rows[-1] > rows[horizon], "nearer than where the ground begins"


def test_pictures_without_cutouts_have_none(many: list[Landscape]):
    def magenta(made: Landscape) -> float:
        r, g, b = (made.image[..., i].astype(int) for i in range(3))
        return float(((r > 200) & (g < 60) & (b > 200)).mean())

    plain = landscapes([], 20)
    assert max(map(magenta, plain)) == 0
    assert np.mean([magenta(made) > 0.003 for made in many]) > 0.2
    assert all(made.inverse_depth.max() == 1 for made in plain)


def test_a_thing_hides_what_is_behind_it(many: list[Landscape]):
    shown = 0
    for made in many:
        # Clear magenta is no part of the photographs: the disc, upright at one distance.
        r, g, b = (made.image[..., i].astype(int) for i in range(3))
        disc = (r > 235) & (g < 25) & (b > 235)
        if disc.sum() < 40:
            continue
        shown += 1
        inside = made.inverse_depth[disc]
        ground = np.median(made.inverse_depth[np.nonzero(disc)[0].min()])
        assert np.median(inside) >= ground
        assert len(np.unique(inside)) <= 8, "flat, where ground would have as many as rows"
    assert shown >= 5


def test_a_single_small_photograph_is_enough():
    made = make_landscape([np.full((9, 7, 3), 90, np.uint8)], [], seed=0, size=32)
    assert made.image.shape == (32, 32, 3) and made.inverse_depth.max() == 1
