import io

import numpy as np
import pytest
from PIL import Image

from editar_cli.geometry import Fit
from editar_cli.images import prepare
from editar_cli.modes.canny import canny_map
from editar_cli.training.datasets._schema import BadRowError, RawPair
from editar_cli.training.preparation import Preparation, check_shapes, read
from tests.training.pair_files import picture

PREPARATION = Preparation(size=32, fit=Fit.CROP, maps={"canny": canny_map})


def pair(source: bytes, target: bytes) -> RawPair:
    return RawPair(source=source, target=target, instruction="edit")


def test_pictures_become_the_square_that_the_engine_makes_of_them():
    source, target = PREPARATION.pictures(pair(picture(0), picture(1)), "")
    for found, seed in ((source, 0), (target, 1)):
        expected = prepare(read(picture(seed), "x"), 32, Fit.CROP)
        assert found.shape == (32, 32, 3) and found.dtype == np.uint8
        np.testing.assert_array_equal(found.transpose(2, 0, 1) / np.float32(127.5) - 1, expected)


def test_transparency_is_blended_over_white():
    file = io.BytesIO()
    Image.new("RGBA", (8, 8), (200, 0, 0, 0)).save(file, "PNG")
    _, target = PREPARATION.pictures(pair(file.getvalue(), file.getvalue()), "")
    assert target.min() == 255


def test_a_source_that_is_drawn_comes_from_the_square_of_the_target():
    source, target = PREPARATION.pictures(pair(b"", picture(3)), "canny")
    np.testing.assert_array_equal(source, canny_map(target))
    assert 0 < (source == 255).mean() < 0.5


def test_a_target_twice_as_large_as_its_source_is_no_mismatch():
    PREPARATION.pictures(pair(picture(0, (40, 30)), picture(1, (80, 60))), "")
    check_shapes((1000, 667), (500, 333))


@pytest.mark.parametrize("size", [(30, 40), (40, 31), (40, 40)])
def test_halves_of_different_shapes_are_a_bad_row(size: tuple[int, int]):
    with pytest.raises(BadRowError, match=f"source of {size[0]} x {size[1]} px") as found:
        PREPARATION.pictures(pair(picture(0, size), picture(1, (40, 30))), "")
    assert found.value.kind == "size"


@pytest.mark.parametrize("content", [b"", b"nonsense", picture(1)[:200]])
def test_a_picture_that_cannot_be_decoded_is_a_bad_row(content: bytes):
    for one in (pair(content, picture(1)), pair(picture(1), content)):
        with pytest.raises(BadRowError) as found:
            PREPARATION.pictures(one, "")
        assert found.value.kind == "unreadable"
