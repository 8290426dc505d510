import numpy as np

from editar_cli.modes.canny import PROMPT, canny_map


def square() -> np.ndarray:
    picture = np.full((40, 60, 3), 30, np.uint8)
    picture[10:30, 20:45] = (220, 200, 40)
    return picture


def test_edges_are_white_on_black_in_three_equal_channels():
    found = canny_map(square())
    assert found.shape == (40, 60, 3) and found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 255}
    assert (found == found[..., :1]).all()


def test_the_outline_of_a_square_is_found_and_nothing_else():
    rows, columns = np.nonzero(canny_map(square())[..., 0])
    assert {9, 10} & set(rows) and {29, 30} & set(rows)
    assert rows.min() >= 9 and rows.max() <= 30
    assert columns.min() >= 19 and columns.max() <= 45
    inside = canny_map(square())[13:27, 23:42]
    assert not inside.any()


def test_a_flat_picture_has_no_edges():
    assert not canny_map(np.full((20, 20, 3), 127, np.uint8)).any()


def test_weak_edges_need_low_thresholds():
    faint = np.full((20, 20, 3), 100, np.uint8)
    faint[:, 10:] = 112
    assert not canny_map(faint).any()
    assert canny_map(faint, 10, 30).any()


def test_the_prompt_is_the_one_trained_with():
    assert PROMPT == "Given the canny edge image, generate an image following the description: "
