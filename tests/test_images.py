import io
import os
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from editar_cli import images
from editar_cli.errors import ImageError
from editar_cli.geometry import Fit, Geometry


def gradient(width=48, height=32):
    """(H, W, 3) uint8: every pixel differs from its neighbours."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 5 % 256, y * 7 % 256, (x + y) * 3 % 256], axis=2).astype(np.uint8)


def saved(tmp_path, image, name, **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def round_trip(tmp_path, path, name=None, change=0):
    """Read, add ``change`` to every channel, write; the source and the reopened picture."""
    source = images.read_image(path)
    pixels = np.clip(source.pixels.astype(int) + change, 0, 255).astype(np.uint8)
    target = tmp_path / (name or f"out{path.suffix}")
    format = images.output_format(target, source)
    images.write_image(target, images.encode_image(pixels, source, format=format))
    return source, Image.open(target)


def test_exif_orientation_is_applied_and_not_written_again(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "camera"
    path = saved(tmp_path, Image.fromarray(gradient(48, 32)), "in.png", exif=exif)
    source, after = round_trip(tmp_path, path)
    assert source.size == (32, 48)
    assert np.array_equal(source.pixels, np.rot90(gradient(48, 32), -1))
    assert after.size == (32, 48)
    assert 0x0112 not in after.getexif()
    assert after.getexif()[0x010F] == "camera"


def test_exif_details_and_place_survive_and_dimensions_follow_the_output(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    exif.get_ifd(0x8769)[0xA002] = 48
    exif.get_ifd(0x8825)[1] = "N"
    path = saved(tmp_path, Image.fromarray(gradient()), "in.jpg", exif=exif)
    source = images.read_image(path)
    data = images.encode_image(gradient(16, 16), source, format="JPEG", note="editar {}")
    after = Image.open(io.BytesIO(data)).getexif()
    assert after.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    assert after.get_ifd(0x8769)[0xA002] == 16
    assert after.get_ifd(0x8825)[1] == "N"
    assert after[0x000B] == "editar {}"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_note_is_written_into_every_format_with_metadata(format):
    source = images.source_from_image(Image.fromarray(gradient()))
    data = images.encode_image(source.pixels, source, format=format, note='editar {"seed": 1}')
    assert Image.open(io.BytesIO(data)).getexif()[0x000B] == 'editar {"seed": 1}'


def test_tags_about_how_a_tiff_is_stored_do_not_move_into_a_jpeg(tmp_path):
    path = saved(tmp_path, Image.fromarray(gradient()), "in.tif", compression="tiff_lzw")
    source, after = round_trip(tmp_path, path, "out.jpg")
    assert source.exif is None
    assert len(after.getexif()) == 0


def test_broken_exif_does_not_keep_a_picture_from_being_edited(tmp_path):
    broken = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff" + b"\xff" * 20
    path = saved(tmp_path, Image.fromarray(gradient()), "in.jpg", exif=broken)
    assert images.read_image(path).size == (48, 32)


def test_colour_profile_and_resolution_are_kept(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = saved(
        tmp_path, Image.fromarray(gradient()), "in.jpg", icc_profile=profile, dpi=(300, 300)
    )
    _, after = round_trip(tmp_path, path)
    assert after.info["icc_profile"] == profile
    assert after.info["dpi"] == (300, 300)


@pytest.mark.parametrize("extension", ["png", "webp", "tif"])
def test_alpha_is_kept(tmp_path, extension):
    alpha = np.arange(32 * 48, dtype=np.uint32).reshape(32, 48).astype(np.uint8)
    picture = Image.fromarray(np.dstack([gradient(), alpha]))
    path = saved(
        tmp_path, picture, f"in.{extension}", **({"lossless": True} if extension == "webp" else {})
    )
    _, after = round_trip(tmp_path, path)
    assert after.mode == "RGBA"
    assert np.array_equal(np.asarray(after)[:, :, 3], alpha)


def test_transparency_is_blended_over_white_for_a_format_without_it(tmp_path):
    picture = Image.new("RGBA", (16, 16), (200, 0, 0, 0))
    _, after = round_trip(tmp_path, saved(tmp_path, picture, "in.png"), "out.jpg")
    assert np.asarray(after).min() >= 250


def test_greyscale_stays_greyscale(tmp_path):
    grey = Image.fromarray(gradient()[:, :, 0])
    source, after = round_trip(tmp_path, saved(tmp_path, grey, "in.png"))
    assert source.pixels.shape == (32, 48, 3)
    assert after.mode == "L"
    assert np.array_equal(np.asarray(after), np.asarray(grey))


def test_greyscale_with_alpha_stays_so(tmp_path):
    grey = Image.merge("LA", [Image.new("L", (8, 8), 90), Image.new("L", (8, 8), 128)])
    _, after = round_trip(tmp_path, saved(tmp_path, grey, "in.png"))
    assert after.mode == "LA"
    assert after.getpixel((0, 0)) == (90, 128)


def test_16_bit_greyscale_keeps_its_depth_where_nothing_changed(tmp_path):
    deep = (np.arange(32 * 48).reshape(32, 48) * 40).astype(np.uint16)
    path = saved(tmp_path, Image.fromarray(deep), "in.png")
    source, same = round_trip(tmp_path, path, "same.png")
    assert source.pixels.max() == round(int(deep.max()) / 257)
    assert np.array_equal(np.asarray(same), deep)
    _, brighter = round_trip(tmp_path, path, "brighter.png", change=10)
    assert np.array_equal(np.asarray(brighter, int)[:16], deep[:16].astype(int) + 2570)


def test_palette_becomes_full_colour_and_keeps_transparency(tmp_path):
    picture = Image.fromarray(gradient()).convert("P", palette=Image.Palette.ADAPTIVE)
    path = saved(tmp_path, picture, "in.png", transparency=0)
    source, after = round_trip(tmp_path, path)
    assert source.alpha is not None and source.alpha.min() == 0
    assert after.mode == "RGBA"


def test_cmyk_comes_back_as_cmyk_and_looks_the_same(tmp_path):
    path = saved(tmp_path, Image.fromarray(gradient()).convert("CMYK"), "in.tif")
    source, after = round_trip(tmp_path, path)
    assert after.mode == "CMYK"
    difference = np.asarray(after.convert("RGB"), int) - source.pixels
    assert np.abs(difference).max() <= 2


def test_cmyk_becomes_rgb_for_a_format_without_it(tmp_path):
    path = saved(tmp_path, Image.fromarray(gradient()).convert("CMYK"), "in.jpg")
    _, after = round_trip(tmp_path, path, "out.png")
    assert after.mode == "RGB"
    assert "icc_profile" not in after.info


def test_a_single_frame_gif_is_a_picture(tmp_path):
    picture = Image.fromarray(gradient()).quantize(32)
    _, after = round_trip(tmp_path, saved(tmp_path, picture, "in.gif"))
    assert after.format == "GIF"
    assert after.size == (48, 32)


@pytest.mark.parametrize(
    ("name", "options"), [("in.gif", {}), ("in.tif", {}), ("in.webp", {"lossless": True})]
)
def test_several_frames_are_refused_with_a_reason(tmp_path, name, options):
    frames = [Image.fromarray(np.full((8, 8, 3), v, np.uint8)) for v in (0, 99, 200)]
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    with pytest.raises(ImageError, match=r"in\.\w+: holds 3 frames or pages"):
        images.read_image(path)


def test_a_phones_multi_picture_jpeg_is_its_first_picture(tmp_path):
    path = saved(
        tmp_path,
        Image.fromarray(gradient()),
        "in.mpo",
        save_all=True,
        append_images=[Image.new("RGB", (8, 8))],
    )
    source = images.read_image(path)
    assert source.format == "JPEG"
    assert source.size == (48, 32)


def test_a_truncated_picture_is_refused_by_name(tmp_path):
    path = saved(tmp_path, Image.fromarray(gradient(400, 300)), "cut.jpg")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ImageError, match=r"cut\.jpg: cannot be read: .*truncated"):
        images.read_image(path)


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_picture_is_refused_by_name(tmp_path, content):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"bad\.png: "):
        images.read_image(path)


def test_a_missing_file_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match="No such file"):
        images.read_image(tmp_path / "none.jpg")


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = saved(tmp_path, Image.new("1", (8, 8)), "bomb.png")
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 30000, 30000)
    # Pillow checks the header's checksum.
    import zlib

    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"bomb\.png: too large"):
        images.read_image(path)


def test_floating_point_pixels_are_refused(tmp_path):
    path = saved(tmp_path, Image.new("F", (8, 8)), "in.tif")
    with pytest.raises(ImageError, match="floating-point"):
        images.read_image(path)


def test_prepare_crops_the_centre_of_the_picture_resized_by_its_short_side():
    source = images.source_from_image(Image.fromarray(gradient(60, 40)))
    square = images.prepare(source, 20, Fit.CROP)
    resized = Image.fromarray(gradient(60, 40)).resize((30, 20), Image.Resampling.LANCZOS)
    expected = np.asarray(resized, np.float32)[:, 5:25].transpose(2, 0, 1) / 127.5 - 1
    assert square.dtype == np.float32
    assert np.array_equal(square, expected)


def test_prepare_stretches_the_whole_frame():
    source = images.source_from_image(Image.fromarray(gradient(60, 40)))
    resized = Image.fromarray(gradient(60, 40)).resize((16, 16), Image.Resampling.LANCZOS)
    expected = np.asarray(resized, np.float32).transpose(2, 0, 1) / 127.5 - 1
    assert np.array_equal(images.prepare(source, 16, Fit.STRETCH), expected)


def test_prepare_pads_with_the_edge():
    source = images.source_from_image(Image.fromarray(gradient(64, 32)))
    square = images.prepare(source, 16, Fit.PAD)
    assert square.shape == (3, 16, 16)
    assert np.array_equal(square[:, 0], square[:, 4])
    assert np.array_equal(square[:, 15], square[:, 11])


def test_prepare_blends_transparency_over_white():
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 51))
    square = images.prepare(images.source_from_image(picture), 8, Fit.STRETCH)
    assert np.allclose(square, 204 / 127.5 - 1)


@pytest.mark.parametrize("fit", list(Fit))
def test_restore_of_an_unchanged_edit_is_the_source_bit_for_bit(fit):
    source = images.source_from_image(Image.fromarray(gradient(61, 37)))
    decoded = images.prepare(source, 16, fit)
    assert np.array_equal(images.restore(source, decoded, decoded, fit=fit), source.pixels)


def test_restore_adds_what_the_edit_changed_over_the_whole_frame():
    source = images.source_from_image(Image.fromarray(gradient(61, 37) // 2))
    before = images.prepare(source, 16, Fit.STRETCH)
    after = before + np.float32(20 / 127.5)
    restored = images.restore(source, before, after, fit=Fit.STRETCH)
    assert np.array_equal(restored, source.pixels + 20)


def test_restore_leaves_what_the_square_did_not_show():
    source = images.source_from_image(Image.fromarray(gradient(60, 40) // 2))
    before = images.prepare(source, 20, Fit.CROP)
    restored = images.restore(source, before, before + np.float32(20 / 127.5), fit=Fit.CROP)
    assert np.array_equal(restored[:, :10], source.pixels[:, :10])
    assert np.array_equal(restored[:, 50:], source.pixels[:, 50:])
    assert np.array_equal(restored[:, 10:50], source.pixels[:, 10:50] + 20)


def test_restore_keeps_regions_of_equal_codes_bit_for_bit_inside_a_crop():
    source = images.source_from_image(Image.fromarray(gradient(60, 40) // 2))
    before = images.prepare(source, 32, Fit.CROP)
    codes = np.zeros((4, 4), np.int64)
    edited = codes.copy()
    edited[:, 3] = 1
    after = before + np.float32(20 / 127.5)
    restored = images.restore(source, before, after, fit=Fit.CROP, codes=(codes, edited))
    # The crop shows columns 10 to 50, the last of four cells columns 40 to 50.
    assert np.array_equal(restored[:, :34], source.pixels[:, :34])
    assert np.array_equal(restored[:, 41:50], source.pixels[:, 41:50] + 20)
    assert np.array_equal(restored[:, 50:], source.pixels[:, 50:])


def test_restore_without_preserving_is_the_models_own_picture_enlarged():
    source = images.source_from_image(Image.fromarray(gradient(61, 37)))
    before = images.prepare(source, 16, Fit.STRETCH)
    grey = np.zeros_like(before)
    restored = images.restore(source, before, grey, fit=Fit.STRETCH, preserve=False)
    assert restored.shape == (37, 61, 3)
    assert np.abs(restored.astype(int) - 127.5).max() <= 0.5


@pytest.mark.parametrize(
    ("fit", "shape"),
    [(Fit.STRETCH, (37, 61, 3)), (Fit.CROP, (37, 36, 3)), (Fit.PAD, (37, 61, 3))],
)
def test_enlarge_gives_the_part_of_the_source_that_the_square_shows(fit, shape):
    y, x = np.mgrid[0:37, 0:61]
    ramp = np.stack([x * 4, y * 6, x + y], axis=2).astype(np.uint8)
    source = images.source_from_image(Image.fromarray(ramp))
    geometry = Geometry.of(source=source.size, size=32, fit=fit)
    large = images.enlarge(images.prepare(source, 32, fit), geometry)
    left, top, right, bottom = geometry.source_box
    assert large.shape == shape and large.dtype == np.uint8
    # Smooth as it is, the ramp comes back as it was, but for its border.
    apart = np.abs(large.astype(int) - ramp[top:bottom, left:right])[3:-3, 3:-3]
    assert apart.max() <= 5 and apart.mean() < 1.5


def test_enlarge_clips_what_lies_beyond_the_models_range():
    geometry = Geometry.of(source=(20, 10), size=4, fit=Fit.STRETCH)
    square = np.full((3, 4, 4), 1.7, np.float32)
    square[1] = -1.7
    square[2] = 0
    assert np.unique(images.enlarge(square, geometry).reshape(-1, 3), axis=0).tolist() == [
        [255, 0, 128]
    ]


def test_to_pixels_inverts_the_models_range_and_clips():
    levels = np.array([-1.5, -1.0, 0.0, 1.0, 2.0], np.float32)
    square = np.broadcast_to(levels, (3, 1, 5))
    assert images.to_pixels(square)[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_writing_replaces_whole_files_only_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "new" / "out.jpg"
    images.write_image(path, b"first")
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(ImageError, match="No space left"):
        images.write_image(path, b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(path.parent) == ["out.jpg"]


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_writing_through_a_link_keeps_the_link(tmp_path):
    real = tmp_path / "real.jpg"
    real.write_bytes(b"old")
    link = tmp_path / "link.jpg"
    link.symlink_to(real)
    images.write_image(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_a_format_that_can_only_be_read_is_refused_with_what_to_do(tmp_path):
    source = images.Source(name="a.psd", pixels=gradient(), format="PSD")
    with pytest.raises(ImageError, match="--format png"):
        images.output_format(tmp_path / "a.edited.psd", source)
    assert images.output_format(tmp_path / "a.png", source) == "PNG"


def test_to_image_gives_back_mode_alpha_and_profile():
    picture = Image.fromarray(np.dstack([gradient(), gradient()[:, :, 0]]))
    picture.info["icc_profile"] = b"profile"
    source = images.source_from_image(picture)
    after = images.to_image(source.pixels, source)
    assert after.mode == "RGBA"
    assert after.info["icc_profile"] == b"profile"
    assert np.array_equal(np.asarray(after), np.asarray(picture))


@pytest.mark.parametrize(
    ("name", "mode", "turned", "in_browsers"),
    [
        ("a.jpg", "RGB", 1, True),
        ("a.jpg", "L", 6, True),
        ("a.jpg", "CMYK", 1, False),
        ("a.png", "RGBA", 1, True),
        ("a.png", "RGB", 6, False),
        ("a.webp", "RGB", 1, True),
        ("a.tif", "RGB", 1, False),
        ("a.ppm", "RGB", 1, False),
    ],
)
def test_a_glance_tells_the_upright_size_and_what_browsers_show(
    tmp_path, name, mode, turned, in_browsers
):
    exif = Image.Exif()
    exif[0x0112] = turned
    more = {} if name.endswith("ppm") else {"exif": exif}
    path = saved(tmp_path, Image.new(mode, (48, 32)), name, **more)
    seen = images.glance(path)
    assert seen.size == ((32, 48) if turned == 6 else (48, 32))
    assert seen.in_browsers == in_browsers
    assert seen.alpha == (mode == "RGBA")


def test_a_glance_at_no_picture_names_it(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    for name in ("a.jpg", "none.jpg"):
        for look in (images.glance, lambda path: images.small_copy(path, 8)):
            with pytest.raises(ImageError, match=name):
                look(tmp_path / name)


def test_a_small_copy_looks_like_its_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    large = Image.fromarray(gradient(16, 12)).resize((1600, 1200), Image.Resampling.BICUBIC)
    path = saved(tmp_path, large, "in.jpg", exif=exif, icc_profile=profile, quality=95)
    data, extension = images.small_copy(path, 200)
    copy = Image.open(io.BytesIO(data))
    assert (copy.size, extension, copy.info["icc_profile"]) == ((150, 200), ".jpg", profile)
    small = images.read_image(path).pixels.reshape(200, 8, 150, 8, 3).mean((1, 3))
    assert np.abs(np.asarray(copy, float) - small).mean() < 4

    clear = Image.new("RGBA", (300, 300), (200, 10, 10, 60))
    data, extension = images.small_copy(saved(tmp_path, clear, "in.png"), 100)
    copy = Image.open(io.BytesIO(data))
    assert (copy.size, extension, copy.mode) == ((100, 100), ".webp", "RGBA")
    assert copy.getpixel((50, 50))[3] == 60


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_glance_decodes_nothing(tmp_path, monkeypatch, name):
    path = saved(tmp_path, Image.fromarray(gradient(300, 200)), name)

    def load(self):
        raise AssertionError("decoded")

    for kind in ("PngImagePlugin.PngImageFile", "JpegImagePlugin.JpegImageFile"):
        monkeypatch.setattr(f"PIL.{kind}.load", load)
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile.load", load)
    assert images.glance(path).size == (300, 200)
