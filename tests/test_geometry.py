import pytest

from editar_cli.geometry import Fit, Geometry


def test_stretch_shows_the_whole_frame_in_the_whole_square():
    geometry = Geometry.of(source=(300, 200), size=64, fit=Fit.STRETCH)
    assert geometry.model_box == (0, 0, 64, 64)
    assert geometry.source_box == (0, 0, 300, 200)


def test_crop_takes_the_centre_with_the_short_side_filling_the_square():
    geometry = Geometry.of(source=(300, 200), size=100, fit=Fit.CROP)
    assert geometry.scaled == (150, 100)
    assert geometry.offset == (25, 0)
    assert geometry.model_box == (0, 0, 100, 100)
    assert geometry.source_box == (50, 0, 250, 200)


def test_pad_shows_the_whole_frame_in_a_part_of_the_square():
    geometry = Geometry.of(source=(200, 400), size=100, fit=Fit.PAD)
    assert geometry.scaled == (50, 100)
    assert geometry.model_box == (25, 0, 75, 100)
    assert geometry.source_box == (0, 0, 200, 400)


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("source", [(1, 1), (1, 500), (500, 1), (333, 77), (4000, 3001)])
def test_both_boxes_lie_inside_their_picture_and_are_not_empty(fit, source):
    geometry = Geometry.of(source=source, size=128, fit=fit)
    for box, (width, height) in ((geometry.model_box, (128, 128)), (geometry.source_box, source)):
        left, top, right, bottom = box
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
