import numpy as np
import pytest
from PIL import Image

from editar_cli.restoration import kept_weights, transfer_edit

SIDE = 64
CELL = 8


def scene(width=96, height=80):
    """Coloured sky over textured ground, full range but for the ends."""
    rng = np.random.default_rng(3)
    down, across = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    sky = np.stack([90 + 60 * across, 120 + 60 * across, 200 - 40 * down], axis=2)
    ground = np.stack([150 - 60 * across, 110 + 40 * down, 60 + 30 * across], axis=2)
    ground += 28 * rng.standard_normal((height, width, 1))
    picture = np.where(down[..., None] < 0.45, sky, ground)
    return np.clip(np.rint(picture), 20, 230).astype(np.uint8)


def square(pixels):
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def with_code_noise(decoded, amount=0.04):
    """A quarter of the cells slightly off in colour, as sampled codes are."""
    rng = np.random.default_rng(5)
    cells = SIDE // CELL
    off = amount * rng.standard_normal((cells, cells, 3)) * (rng.random((cells, cells, 1)) < 0.25)
    return (decoded + off.repeat(CELL, axis=0).repeat(CELL, axis=1)).astype(np.float32)


def detail(pixels):
    """Contrast between neighbouring pixels."""
    grey = pixels.astype(np.float32).mean(axis=2)
    return float(np.abs(np.diff(grey, axis=1)).mean())


def test_no_change_is_the_source_bit_for_bit():
    source = scene()
    assert np.array_equal(transfer_edit(source, square(source), square(source)), source)


@pytest.mark.parametrize(
    "matrix, offset",
    [
        (-np.eye(3), 1.0),
        (0.35 * np.diag([0.6, 0.8, 1.3]), 0.02),
        (0.3 * np.eye(3), 0.6),
        (np.diag([1.1, 1.0, 0.8]), 0.0),
    ],
    ids=["negative", "night", "fog", "warm"],
)
def test_a_colour_transform_reaches_full_size_with_its_detail_through_code_noise(matrix, offset):
    source = scene()
    truth = np.clip((source / 255) @ matrix.T + offset, 0, 1) * 255
    edited = np.clip(square(source) @ matrix.T + offset, 0, 1).astype(np.float32)
    result = transfer_edit(source, square(source), with_code_noise(edited))
    assert np.abs(result - truth).mean() < 4
    assert detail(result) == pytest.approx(detail(truth), rel=0.2)


def test_black_and_white_is_grey_everywhere():
    source = scene()
    grey = np.repeat(square(source).mean(axis=2, keepdims=True), 3, axis=2)
    result = transfer_edit(source, square(source), with_code_noise(grey, amount=0.015))
    assert np.ptp(result.astype(int), axis=2).max() <= 1
    assert detail(result) > 0.8 * detail(source)


def test_a_blurred_square_blurs_at_full_size():
    source = scene(192, 160)
    blurred = Image.fromarray(source).resize((6, 6), Image.Resampling.BOX)
    smooth = np.asarray(blurred.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) / 255
    result = transfer_edit(source, square(source), smooth)
    assert detail(result) < 0.25 * detail(source)


def test_a_new_object_appears_and_what_lies_far_from_it_stays():
    source = scene()
    edited = square(source).copy()
    edited[36:56, 36:56] = (0.9, 0.1, 0.1)
    result = transfer_edit(source, square(source), edited).astype(int)
    middle = result[52:64, 62:76].mean(axis=(0, 1))
    assert middle[0] > 180
    assert middle[1:].max() < 90
    assert np.abs(result[:20, :30] - source[:20, :30]).mean() < 2


def test_kept_regions_are_exact_and_lone_equal_codes_are_not_kept():
    codes = np.arange(64).reshape(8, 8)
    edited = codes + 1
    edited[:, :3] = codes[:, :3]
    edited[4, 6] = codes[4, 6]
    kept = kept_weights(codes, edited, size=SIDE)
    assert kept.shape == (SIDE, SIDE)
    assert (kept[:, : 2 * CELL + CELL // 2] == 1).all()
    assert (kept[:, 3 * CELL :] == 0).all()
    assert (np.diff(kept, axis=1) <= 0).all()

    source = scene()
    result = transfer_edit(source, square(source), 1 - square(source), kept=kept)
    still = 96 * 2 // 8
    assert np.array_equal(result[:, :still], source[:, :still])
    assert np.abs(result[:, 40:].astype(int) - (255 - source[:, 40:])).mean() < 4


def test_equal_codes_everywhere_keep_all():
    codes = np.zeros((8, 8), np.int64)
    assert (kept_weights(codes, codes, size=SIDE) == 1).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (1500, 9), (1030, 1029)])
def test_every_size_keeps_its_shape(shape):
    source = np.full((*shape, 3), 100, np.uint8)
    dark = np.full((SIDE, SIDE, 3), 0.2, np.float32)
    result = transfer_edit(source, dark + np.float32(0.2), dark)
    assert result.shape == source.shape
    assert np.abs(result.astype(int) - 49).max() <= 1


def test_the_strips_of_a_large_picture_leave_no_seams():
    source = np.full((2100, 2100, 3), 0, np.uint8)
    source[:] = np.linspace(40, 200, 2100).astype(np.uint8)[:, None, None]
    result = transfer_edit(source, square(source), square(source) * 0.5).astype(int)
    assert np.abs(np.diff(result, axis=0)).max() <= 1


# Where only some codes were free.


def half(rows):
    """(64, 64) bool: the cells of the upper rows."""
    free = np.zeros((SIDE, SIDE), np.bool_)
    free[: rows * CELL] = True
    return free


def darkened(picture):
    return (0.4 * picture + np.array([0, 0, 0.08])).astype(np.float32)


def test_an_edit_of_free_cells_is_whole_up_to_their_border():
    source = scene()
    before = square(source)
    free = half(4)
    after = np.where(free[..., None], darkened(before), before)
    result = transfer_edit(source, before, after, free=free).astype(float)
    expected = np.clip(255 * darkened(source / np.float32(255)), 0, 255)
    wanted = np.abs(source - expected)[:40].mean()
    border = np.abs(result - expected)[34:40].mean()
    assert border < 0.12 * wanted, "rows beside the border are edited as all others are"
    # Told of it all, the fit takes what was never free for an edit that did nothing.
    mixed = transfer_edit(source, before, after).astype(float)
    assert np.abs(mixed - expected)[34:40].mean() > 2 * border


def test_a_single_free_cell_tells_enough():
    source = scene()
    before = square(source)
    free = np.zeros((SIDE, SIDE), np.bool_)
    free[16:24, 24:32] = True
    after = np.where(free[..., None], darkened(before), before)
    result = transfer_edit(source, before, after, free=free).astype(float)
    expected = np.clip(255 * darkened(source / np.float32(255)), 0, 255)
    box = slice(20, 30), slice(36, 48)
    assert np.abs(result - expected)[box].mean() < 0.25 * np.abs(source - expected)[box].mean()


def test_free_everywhere_changes_nothing_and_nowhere_is_the_source():
    source = scene()
    before = square(source)
    after = darkened(with_code_noise(before))
    whole = transfer_edit(source, before, after)
    assert np.array_equal(transfer_edit(source, before, after, free=half(8)), whole)
    assert np.array_equal(transfer_edit(source, before, after, free=half(0)), source)


def test_codes_that_were_never_free_are_no_reason_to_keep_a_cell():
    codes = np.zeros((8, 8), np.int64)
    edited = codes.copy()
    edited[:4, 2:] = 1
    free = np.zeros((8, 8), np.bool_)
    free[:4] = True
    # Two free cells are equal by chance, beside cells that could not differ.
    free[:3, :2] = False
    assert kept_weights(codes, edited, size=SIDE)[3 * CELL + 4, 4] > 0.9
    assert not kept_weights(codes, edited, size=SIDE, free=free)[3 * CELL : 4 * CELL, :CELL].any()
