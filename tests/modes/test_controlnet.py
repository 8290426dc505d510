import numpy as np
import pytest

from editar_cli.modes import _controlnet
from editar_cli.modes._controlnet import (
    ASPECT,
    LONGEST,
    STEP,
    grey,
    nearest,
    network_size,
    on_picture,
    resized,
    stretched,
    within_aspect,
)

SIZES = [(1, 1), (1, 2000), (2000, 1), (301, 517), (64, 500), (500, 64), (6000, 4000), (512, 512)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("short", [16, 512, 700])
def test_a_network_sees_multiples_of_64_of_bounded_size_and_aspect(
    size: tuple[int, int], short: int
):
    sides = network_size(*size, short)
    assert all(side >= STEP and side % STEP == 0 for side in sides)
    assert max(sides) <= LONGEST * max(short, STEP) + STEP // 2
    assert max(sides) <= ASPECT * min(sides)
    assert (sides[0] - sides[1]) * (size[0] - size[1]) >= 0


def test_a_usual_picture_keeps_its_aspect_at_the_wanted_short_side():
    assert network_size(6000, 4000) == (768, 512)
    assert network_size(512, 768) == (512, 768)
    assert network_size(64, 128, 128) == (128, 256)


@pytest.mark.parametrize("size", [(301, 517), (517, 301), (64, 500), (500, 64), (1300, 900)])
def test_what_a_network_finds_lies_on_the_picture_to_the_pixel(size: tuple[int, int]):
    height, width = size
    values = on_picture(lambda seen: seen[..., 0].astype(np.float32), None)
    picture = np.full((height, width, 3), 40, np.uint8)
    row, column = height // 3, width // 3
    picture[row:, column:] = 200
    found = values(picture)
    assert found.shape == size and found.dtype == np.float32
    # Where the step crosses the middle grey, between pixels.
    for line, edge in [(found[-1], column), (found[:, -1], row)]:
        before = int((line < 120).nonzero()[0].max())
        share = (120 - line[before]) / (line[before + 1] - line[before])
        assert abs(before + 0.5 + share - edge) < 0.6


def test_there_and_back_moves_nothing_by_half_a_pixel():
    ramp = np.repeat(np.linspace(20, 230, 301)[None], 211, 0)
    picture = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    values = on_picture(lambda seen: seen[..., 0].astype(np.float32), 512)(picture)
    off = (values - picture[..., 0])[10:-10, 10:-10]
    # Half a pixel would be 0.35 levels.
    assert abs(off.mean()) < 0.05


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (2, 3)])
def test_tiny_and_narrow_pictures_come_back_at_their_size(size: tuple[int, int]):
    picture = np.full((*size, 3), 90, np.uint8)
    values = on_picture(lambda seen: seen[..., 0].astype(np.float32), 64)(picture)
    assert values.shape == size and np.allclose(values, 90)
    stretched_picture = within_aspect(picture)
    assert max(stretched_picture.shape[:2]) <= ASPECT * min(stretched_picture.shape[:2])


def test_a_picture_of_usual_aspect_is_left_as_it_is():
    picture = np.zeros((40, 300, 3), np.uint8)
    assert within_aspect(picture) is picture


def test_an_axis_that_shrinks_is_averaged_while_the_other_grows():
    import cv2

    picture = np.zeros((2, 8, 3), np.uint8)
    picture[:, ::2] = 200
    found = resized(picture, 4, 6, cv2.INTER_LINEAR)
    assert found.shape == (6, 4, 3) and (found == 100).all()


def test_nearest_makes_no_new_colours_and_keeps_the_middle():
    picture = np.zeros((1, 4, 3), np.uint8)
    picture[:, 2:] = 200
    assert nearest(picture, 7, 1)[0, :, 0].tolist() in (
        [0, 0, 0, 200, 200, 200, 200],
        [0, 0, 0, 0, 200, 200, 200],
    )
    assert nearest(picture, 2, 3)[0, :, 0].tolist() == [0, 200]


def test_values_become_grey_levels():
    assert grey(np.array([[-1.0, 0.5, 2.0]], np.float32))[0, :, 1].tolist() == [0, 127, 255]
    assert stretched(np.array([[3.0, 4.0, 7.0]], np.float32))[0, :, 0].tolist() == [0, 63, 255]


def test_a_map_that_is_flat_but_for_rounding_is_black():
    assert not stretched(np.full((3, 3), 5.0, np.float32)).any()
    assert not stretched(np.array([[1.0, np.nextafter(np.float32(1), 2)]], np.float32)).any()


def test_importing_the_wrapper_imports_no_network():
    import subprocess
    import sys

    code = (
        "import sys; from editar_cli.modes import load_mode\n"
        "for name in ('canny', 'depth', 'segmentation', 'hed'):\n"
        "    [e.at_hand() for e in load_mode(name).extractors.values()]\n"
        "print({'cv2', 'kornia', 'transformers', 'controlnet_aux'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=_controlnet.__file__.split("editar_cli")[0],
    )  # fmt: skip
    assert done.stdout.strip() == "none"
