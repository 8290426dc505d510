import numpy as np
import pytest
from PIL import Image

from editar_cli.errors import ImageError, UsageError
from editar_cli.geometry import Fit, Geometry
from editar_cli.images import Source, source_from_image
from editar_cli.masks import (
    AreaSettings,
    Region,
    blend,
    changeable_cells,
    close_window,
    find_area,
    in_square,
    mask_of,
    read_mask,
    soften,
)


def picture(width=60, height=40):
    return Source(name="in.png", pixels=np.full((height, width, 3), 90, np.uint8))


def mask_with(box, width=60, height=40):
    left, top, right, bottom = box
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def area(mask=None, source=None, size=32, grid=8, fit=Fit.STRETCH, **settings):
    settings = AreaSettings(**{"feather": 0, "zoom": False, **settings})
    return find_area(settings, mask, source or picture(), size=size, grid=grid, fit=fit)


# Regions.


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("10,5,20,30", (10, 5, 30, 35)),
        ("10%,20%,30%,40%", (6, 8, 24, 24)),
        (" 50% , 0, 10 ,100% ", (30, 0, 40, 40)),
        ("-10,-10,20,20", (0, 0, 10, 10)),
        ("50,30,100,100", (50, 30, 60, 40)),
        ("12.5,3,0.1,0.1", (12, 3, 13, 4)),
    ],
)
def test_a_region_is_in_pixels_or_percent_and_cut_off_at_the_frame(text, box):
    assert Region.parse(text).box((60, 40), "in.jpg") == box


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,0,4", "1,2,3,-4"])
def test_what_is_no_region_is_refused(text):
    with pytest.raises(UsageError, match=r"^--region "):
        Region.parse(text)


def test_a_region_outside_of_the_picture_says_so():
    message = r"^in\.jpg: --region 60,0,5,5 lies outside of it: it is 60 x 40"
    with pytest.raises(ImageError, match=message):
        Region.parse("60,0,5,5").box((60, 40), "in.jpg")


# Mask files.


def levels(image, size=None):
    return mask_of(source_from_image(image), size or image.size, "in.jpg")


def test_white_is_255_grey_in_between_and_a_colour_as_good_as_white():
    assert levels(Image.new("L", (3, 2), 128)).tolist() == [[128] * 3] * 2
    assert levels(Image.new("RGB", (1, 1), (255, 0, 0))).tolist() == [[255]]
    assert levels(Image.new("1", (1, 1), 1)).tolist() == [[255]]
    deep = Image.fromarray(np.array([[0, 32896, 65535]], np.uint16))
    assert levels(deep).tolist() == [[0, 128, 255]]


def test_masks_of_zeros_and_ones_mean_black_and_white():
    assert levels(Image.fromarray(np.array([[0, 1]], np.uint8))).tolist() == [[0, 255]]


def test_a_mask_that_is_painted_on_nothing_is_its_alpha():
    for paint in (0, 255):
        image = Image.new("RGBA", (2, 1), (paint, paint, paint, 0))
        image.putpixel((1, 0), (paint, paint, paint, 200))
        assert levels(image).tolist() == [[0, 200]]
    cut_out = Image.new("RGBA", (2, 1), (200, 30, 40, 255))
    cut_out.putpixel((1, 0), (10, 90, 40, 0))
    assert levels(cut_out).tolist() == [[255, 0]]
    grey = Image.new("RGBA", (3, 1), (255, 255, 255, 255))
    grey.putpixel((1, 0), (0, 0, 0, 255))
    grey.putpixel((2, 0), (255, 255, 255, 128))
    assert levels(grey).tolist() == [[255, 0, 128]]


def test_noise_of_a_jpeg_is_no_change(tmp_path):
    mask = mask_with((24, 8, 48, 32))
    Image.fromarray(mask).save(tmp_path / "m.jpg", quality=80)
    read = read_mask(tmp_path / "m.jpg", (60, 40), "in.jpg")
    assert not read[:, :16].any() and (read[12:28, 28:44] == 255).all()


def test_a_mask_is_turned_as_its_exif_says(tmp_path):
    upright = mask_with((0, 0, 30, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "m.png", exif=exif)
    assert np.array_equal(read_mask(tmp_path / "m.png", (60, 40), "in.jpg"), upright)


@pytest.mark.parametrize("size", [(30, 20), (120, 80), (31, 20), (61, 41)])
def test_a_mask_of_the_same_shape_is_resized(size):
    small = Image.fromarray(mask_with((20, 10, 40, 30))).resize(size, Image.Resampling.BOX)
    mask = levels(small, (60, 40))
    assert mask.shape == (40, 60)
    assert abs(int((mask > 127).sum()) - 400) < 60
    assert mask[20, 30] == 255 and not mask[:8].any()


def test_a_mask_of_another_shape_is_refused_with_both_sizes():
    with pytest.raises(ImageError, match=r"mask\.png: is 40 x 60, but in\.jpg is 60 x 40"):
        mask_of(source_from_image(Image.new("L", (40, 60)), name="mask.png"), (60, 40), "in.jpg")


# Soft edges.


@pytest.mark.parametrize("feather", [1, 2, 5, 8.5])
def test_a_feather_is_as_wide_as_asked_for_and_lies_inside(feather):
    mask = mask_with((10, 0, 60, 40))
    row = soften(mask, feather)[20].astype(int)
    assert not row[:10].any(), "nothing outside"
    soft = int(((row > 0) & (row < 255)).sum())
    assert abs(soft - feather) <= 1
    assert (np.diff(row) >= 0).all() and row[-1] == 255, "the frame is no edge"


def test_a_hard_edge_is_the_mask_itself_and_grey_masks_keep_their_own_softness():
    mask = mask_with((10, 10, 50, 30))
    assert np.array_equal(soften(mask, 0), mask)
    ramp = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    assert (soften(ramp, 4) <= ramp).all()
    assert np.array_equal(soften(ramp, 4)[:, 8:], ramp[:, 8:])


def test_the_middle_of_a_small_area_is_edited_wholly_by_default():
    mask = mask_with((1000, 1000, 1008, 1008), 3000, 2000)
    weights = soften(mask, None)
    assert weights.max() == 255 and (weights[1000:1008, 1000] < 255).all()
    wide = soften(mask_with((1000, 0, 3000, 2000), 3000, 2000), None)[1000]
    assert ((wide > 0) & (wide < 255)).sum() == 6


# The codes that are free.


def cells_of(box, fit=Fit.STRETCH, width=60, height=40):
    geometry = Geometry.of(source=(width, height), size=32, fit=fit)
    return changeable_cells(mask_with(box, width, height), geometry, 8)


def test_a_cell_is_free_if_one_of_its_pixels_is():
    # Cells are 8 x 4 pixels of this source.
    free = cells_of((15, 8, 17, 9), width=64, height=32)
    assert np.argwhere(free).tolist() == [[2, 1], [2, 2]]
    assert np.argwhere(cells_of((16, 8, 24, 12), width=64, height=32)).tolist() == [[2, 2]]
    assert np.argwhere(cells_of((63, 31, 64, 32), width=64, height=32)).tolist() == [[7, 7]]
    assert not cells_of((0, 0, 0, 0)).any() and cells_of((0, 0, 60, 40)).all()


@pytest.mark.parametrize("fit", list(Fit))
def test_every_changeable_pixel_that_the_model_sees_lies_in_a_free_cell(fit):
    rng = np.random.default_rng(4)
    for _ in range(20):
        width, height = (int(side) for side in rng.integers(9, 90, 2))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        geometry = Geometry.of(source=(width, height), size=32, fit=fit)
        free = changeable_cells(mask_with((x, y, x + 1, y + 1), width, height), geometry, 8)
        # The pixel's middle in the square.
        at = [
            (position + 0.5) * scaled / side - offset
            for position, scaled, side, offset in zip(
                (x, y), geometry.scaled, (width, height), geometry.offset, strict=True
            )
        ]
        if all(0 <= value < 32 for value in at):
            assert free[int(at[1] // 4), int(at[0] // 4)]
        if fit is not Fit.CROP:
            assert free.any()


def test_padding_goes_with_the_edge_that_it_repeats():
    free = cells_of((0, 0, 64, 2), fit=Fit.PAD, width=64, height=32)
    assert free[:3].all() and not free[3:].any()


def test_a_full_mask_is_no_mask_and_an_empty_one_frees_nothing():
    assert area(np.full((40, 60), 255, np.uint8)) is None
    assert area(region=Region.parse("0,0,100%,100%"), feather=None) is None
    assert area() is None
    nothing = area(np.zeros((40, 60), np.uint8))
    assert nothing.empty and nothing.notes == (
        "its mask lets nothing change: the result is the source",
    )


def test_mask_and_region_together_leave_what_lies_in_both():
    mask = mask_with((10, 10, 50, 30))
    both = area(mask, region=Region.parse("0,0,20,20"))
    assert np.array_equal(both.weights, mask_with((10, 10, 20, 20)))
    inverted = area(mask, region=Region.parse("0,0,20,20"), invert=True)
    region = mask_with((0, 0, 20, 20))
    assert np.array_equal(inverted.weights, np.minimum(255 - mask, region))
    outside = area(region=Region.parse("0,0,20,20"), invert=True)
    assert np.array_equal(outside.weights, 255 - mask_with((0, 0, 20, 20)))


def test_what_a_crop_hides_is_told():
    wide = picture(80, 40)
    hidden = area(mask_with((0, 0, 10, 40), 80, 40), wide, fit=Fit.CROP)
    assert hidden.empty and hidden.notes[0].startswith("--fit crop shows the model nothing")
    partly = area(mask_with((0, 0, 40, 40), 80, 40), wide, fit=Fit.CROP)
    assert not partly.empty and partly.notes[0].startswith("--fit crop hides 50 % of what may")
    assert area(mask_with((25, 0, 40, 40), 80, 40), wide, fit=Fit.CROP).notes == ()


# A closer look.


@pytest.mark.parametrize(
    ("box", "window"),
    [
        ((200, 200, 240, 220), (170, 160, 270, 260)),
        ((0, 0, 200, 20), (0, 0, 300, 300)),
        ((700, 500, 800, 600), (650, 450, 800, 600)),
        ((0, 290, 800, 310), None),
        ((0, 0, 500, 500), None),
    ],
)
def test_the_window_holds_the_area_and_its_surroundings(box, window):
    weights = mask_with(box, 800, 600)
    assert close_window(weights, least=100) == window
    if window is not None:
        left, top, right, bottom = window
        assert weights[top:bottom, left:right].sum() == weights.sum()


def test_an_area_seen_closely_frees_more_codes_of_fewer_pixels():
    large = picture(800, 600)
    mask = mask_with((200, 200, 280, 260), 800, 600)
    far, close = (area(mask, large, zoom=zoom) for zoom in (False, True))
    assert far.window == (0, 0, 800, 600) and close.window == (180, 170, 300, 290)
    assert np.count_nonzero(close.cells) > 10 * np.count_nonzero(far.cells)
    assert close.seen(large).size == (120, 120)


# Source and edit together.


def test_the_blend_is_exact_at_both_ends():
    rng = np.random.default_rng(0)
    source, edited = (rng.integers(0, 256, (4, 256, 3)).astype(np.uint8) for _ in range(2))
    weights = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    result = blend(source, edited, weights)
    assert np.array_equal(result[:, 0], source[:, 0])
    assert np.array_equal(result[:, 255], edited[:, 255])
    exact = source + (edited.astype(float) - source) * weights[..., None] / 255
    assert np.abs(result - exact).max() <= 0.5 + 1e-9
    assert np.array_equal(blend(source, source, weights), source)


@pytest.mark.parametrize("fit", list(Fit))
def test_weights_in_the_square_lie_where_the_picture_does(fit):
    mask = mask_with((0, 0, 30, 40))
    geometry = Geometry.of(source=(60, 40), size=32, fit=fit)
    seen = in_square(mask, geometry)
    assert seen.shape == (32, 32)
    assert (seen[:, :14] == 255).all() and not seen[:, 18:].any()


def test_a_feather_below_zero_is_refused():
    with pytest.raises(UsageError, match=r"^--feather -1: must be 0 or more"):
        AreaSettings(feather=-1)
