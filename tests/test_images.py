import io
import os
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, ImageFilter, ImageOps
from PIL.PngImagePlugin import PngInfo

from editar_cli import containers, images, metadata
from editar_cli.errors import ImageError, UsageError
from editar_cli.geometry import Fit, Geometry

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="Ana"/></rdf:RDF></x:xmpmeta>'
)


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
    data = images.encode_image(gradient(16, 16), source, format="JPEG", note={})
    after = Image.open(io.BytesIO(data)).getexif()
    assert after.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    assert after.get_ifd(0x8769)[0xA002] == 16
    assert after.get_ifd(0x8825)[1] == "N"
    assert after[0x000B] == "editar {}"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_note_is_written_into_every_format_with_metadata(format):
    source = images.source_from_image(Image.fromarray(gradient()))
    data = images.encode_image(source.pixels, source, format=format, note={"seed": 1})
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


def rewritten(path, name=None, note=None, strip=False, options=None):
    """Read and write unchanged: the source and the reopened picture."""
    source = images.read_image(path, options=options)
    target = path.with_name(name or f"out{path.suffix}")
    format = images.output_format(target, source)
    data = images.encode_image(source.pixels, source, format=format, note=note, strip=strip)
    images.write_image(target, data)
    after = Image.open(target)
    after.load()
    return source, after


def deep_png(path, channels, **options):
    """A PNG of 16 bits per channel, the pixels (H, W, C) uint16."""
    y, x = np.mgrid[0:20, 0:30]
    every = [x * 2000 + y, y * 3000 + x, (x + y) * 1300 + 7, 65535 - x * 900]
    planes = every[:channels] if channels != 2 else [every[0], every[3]]
    deep = np.stack(planes, axis=2).astype(np.uint16)
    beside = io.BytesIO()
    Image.new("RGB", (1, 1)).save(beside, "PNG", **options)
    path.write_bytes(containers.deep_png(deep, beside.getvalue()))
    return deep


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("name", ["out.png", "out.tif"])
def test_16_bit_colour_keeps_its_depth_where_nothing_changed(tmp_path, name, channels):
    deep = deep_png(tmp_path / "in.png", channels)
    source, after = rewritten(tmp_path / "in.png", name)
    assert source.notes == ()
    assert source.mode == {2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    assert (source.alpha is not None) == (channels != 3)
    again = images.read_image(tmp_path / name)
    if (name, channels) == ("out.tif", 2):
        # Few programs read such a TIFF: it has 8 bits.
        assert after.mode == "LA" and again.deep is None
    else:
        assert np.array_equal(again.deep, deep)


def test_16_bit_colour_changes_by_the_steps_of_8_bits(tmp_path):
    deep = deep_png(tmp_path / "in.png", 4)
    round_trip(tmp_path, tmp_path / "in.png", "out.png", change=-10)
    after = images.read_image(tmp_path / "out.png").deep.astype(int)
    expected = np.maximum(0, deep[:, :, :3].astype(int) - 2570)
    clipped = (deep[:, :, :3] + 128) // 257 < 10
    assert np.array_equal(after[:, :, :3][~clipped], expected[~clipped])
    assert np.array_equal(after[:, :, 3], deep[:, :, 3])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_16_bit_colour_is_turned_upright(tmp_path, extension, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    deep = deep_png(tmp_path / "in.png", 3, exif=exif)
    path = tmp_path / f"in.{extension}"
    if extension == "tif":
        path.write_bytes(containers.deep_tiff(deep, exif=exif, icc=None, dpi=None, compressed=True))
    source = images.read_image(path)
    upright = [
        np.asarray(ImageOps.exif_transpose(tagged(deep[:, :, channel], orientation)))
        for channel in range(3)
    ]
    assert np.array_equal(source.deep, np.stack(upright, axis=2))
    assert source.exif is None


def tagged(pixels, orientation):
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp", "avif"])
def test_every_orientation_of_every_format_ends_upright(tmp_path, extension, orientation):
    corners = np.zeros((24, 40, 3), np.uint8)
    corners[:12, :20] = 240, 20, 20
    corners[12:, 20:] = 20, 20, 240
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(corners), f"in.{extension}", exif=exif)
    source, after = rewritten(path)
    expected = np.asarray(ImageOps.exif_transpose(tagged(corners, orientation)), int)
    for seen in (source.pixels, np.asarray(after)):
        assert seen.shape == expected.shape
        assert np.abs(seen[::5, ::5].astype(int) - expected[::5, ::5]).mean() < 12
    assert after.getexif().get(0x0112, 1) == 1


def test_depth_that_cannot_be_kept_is_told(tmp_path):
    path = tmp_path / "in.ppm"
    path.write_bytes(b"P6\n4 2\n65535\n" + bytes(range(48)))
    source, after = rewritten(path)
    assert source.notes == ("has 16 bits per channel, of which 8 are read and written",)
    assert after.size == (4, 2)


def test_a_transparent_colour_in_16_bits_is_read_and_told(tmp_path):
    deep_png(tmp_path / "in.png", 3)
    data = (tmp_path / "in.png").read_bytes()
    chunk = b"tRNS" + struct.pack(">HHH", 0, 0, 7)
    chunk = struct.pack(">I", 6) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "in.png").write_bytes(data[:33] + chunk + data[33:])
    source, after = rewritten(tmp_path / "in.png")
    assert source.size == after.size == (30, 20)
    assert "16 bits" in source.notes[0]


def test_a_lossless_webp_stays_so_and_a_lossy_one_does_too(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 4)).astype(np.uint8)
    noise[:20, :, 3] = 0
    for lossless in (True, False):
        path = saved(tmp_path, Image.fromarray(noise), "in.webp", lossless=lossless, exact=True)
        source, after = rewritten(path)
        assert source.storage.lossless == lossless
        same = np.array_equal(np.asarray(after), np.asarray(Image.open(path)))
        assert same == lossless
        if lossless:
            # Under full transparency too.
            assert np.array_equal(np.asarray(after), noise)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("name", ["in.png", "in.tif"])
def test_lossless_formats_give_back_what_they_were_given(tmp_path, name, mode):
    random = np.random.default_rng(1)
    if mode == "I;16":
        image = Image.fromarray(random.integers(0, 65536, (17, 23)).astype(np.uint16))
    else:
        image = Image.fromarray(random.integers(0, 256, (17, 23, 4)).astype(np.uint8)).convert(mode)
    source, after = rewritten(saved(tmp_path, image, name))
    assert source.notes == ()
    assert after.mode == ("L" if mode == "1" else mode)
    # A bilevel picture comes back in grey: an edit of it is hardly bilevel.
    expected = image.convert("L") if mode == "1" else image
    assert np.array_equal(np.asarray(after), np.asarray(expected))


@pytest.mark.parametrize("profile", [True, False])
def test_inks_of_a_cmyk_tiff_that_did_not_change_are_its_own(tmp_path, profile):
    inks = np.random.default_rng(2).integers(0, 256, (16, 16, 4)).astype(np.uint8)
    options = {"icc_profile": b"broken"} if profile else {}
    path = saved(tmp_path, Image.fromarray(inks, "CMYK"), "in.tif", **options)
    source = images.read_image(path)
    pixels = source.pixels.copy()
    pixels[:, 8:] = 255 - pixels[:, 8:]
    image = Image.open(io.BytesIO(images.encode_image(pixels, source, format="TIFF")))
    assert image.mode == "CMYK"
    assert np.array_equal(np.asarray(image)[:, :8], inks[:, :8])
    assert not np.array_equal(np.asarray(image)[:, 8:], inks[:, 8:])
    assert image.info.get("icc_profile") == options.get("icc_profile")


@pytest.mark.parametrize(("quality", "subsampling"), [(30, 2), (75, 2), (85, 2), (92, 2), (100, 0)])
def test_a_jpeg_is_quantised_as_it_was_or_by_quality_75(tmp_path, quality, subsampling):
    photo = Image.effect_noise((256, 192), 60).filter(ImageFilter.BoxBlur(3))
    path = saved(
        tmp_path,
        Image.merge("RGB", [photo, photo.rotate(90), photo.rotate(180)]),
        "in.jpg",
        quality=quality,
        subsampling=subsampling,
        progressive=quality == 92,
    )
    source, after = rewritten(path)
    assert abs(images.jpeg_quality(source.storage.tables) - quality) < 1
    before = Image.open(path)
    if quality >= 75:
        assert after.quantization == before.quantization
    else:
        assert abs(images.jpeg_quality(after.quantization) - 75) < 1
    assert bool(after.info.get("progressive")) == (quality == 92)
    _, other = rewritten(path, "out.webp")
    assert other.format == "WEBP"


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_with_one_table_for_all_is_written_again(tmp_path, mode):
    path = saved(tmp_path, Image.new(mode, (16, 16), "red"), "in.jpg", qtables=[[2] * 64])
    _, after = rewritten(path)
    assert after.mode == mode
    assert set(after.quantization[0]) == {2}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, "raw"),
        ("raw", "raw"),
        ("packbits", "packbits"),
        ("tiff_adobe_deflate", "tiff_adobe_deflate"),
        ("tiff_lzw", "tiff_lzw"),
        ("jpeg", "tiff_lzw"),
    ],
)
def test_the_compression_of_a_tiff_is_kept_unless_it_loses_something(tmp_path, given, kept):
    path = saved(tmp_path, Image.fromarray(gradient()), "in.tif", compression=given)
    _, after = rewritten(path)
    assert after.info["compression"] == kept


def animation(tmp_path, name, **options):
    """Three frames: red, green, blue."""
    frames = [Image.new("RGB", (16, 12), colour) for colour in ("red", "lime", "blue")]
    return saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("in.gif", {}),
        ("in.png", {}),
        ("in.tif", {}),
        ("in.webp", {"lossless": True}),
        ("in.avif", {}),
    ],
)
def test_the_frame_that_was_asked_for_is_taken_the_first_being_1(tmp_path, name, options):
    path = animation(tmp_path, name, **options)
    with pytest.raises(ImageError, match=r"holds 3 frames or pages; --frame N takes one, from 1"):
        images.read_image(path)
    for frame, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)], 1):
        source, after = rewritten(path, options=images.ReadOptions(frame=frame))
        assert np.abs(source.pixels.astype(int) - colour).max() <= 8
        assert getattr(after, "n_frames", 1) == 1
        assert after.size == (16, 12)
    with pytest.raises(ImageError, match="holds 3 frames or pages, there is no --frame 4"):
        images.read_image(path, options=images.ReadOptions(frame=4))


def test_a_plain_picture_has_one_frame(tmp_path):
    path = saved(tmp_path, Image.fromarray(gradient()), "in.jpg")
    assert images.read_image(path, options=images.ReadOptions(frame=1)).size == (48, 32)
    with pytest.raises(ImageError, match="holds only one picture, there is no --frame 2"):
        images.read_image(path, options=images.ReadOptions(frame=2))


def test_a_thumbnail_in_a_tiff_is_no_page(tmp_path):
    thumbnail = Image.new("RGB", (8, 6))
    thumbnail.encoderinfo = {"tiffinfo": {0x00FE: 1}}
    picture = Image.fromarray(gradient())
    path = saved(tmp_path, picture, "in.tif", save_all=True, append_images=[thumbnail])
    assert Image.open(path).n_frames == 2
    assert images.read_image(path).size == (48, 32)
    with pytest.raises(ImageError, match="only one picture"):
        images.read_image(path, options=images.ReadOptions(frame=2))


def test_the_second_picture_of_a_phones_file_can_be_asked_for(tmp_path):
    other = Image.new("RGB", (8, 8))
    path = saved(
        tmp_path, Image.fromarray(gradient()), "in.mpo", save_all=True, append_images=[other]
    )
    assert images.read_image(path, options=images.ReadOptions(frame=2)).size == (8, 8)


def test_options_of_reading_check_themselves():
    with pytest.raises(UsageError, match="--frame 0: the first frame or page is 1"):
        images.ReadOptions(frame=0)
    with pytest.raises(UsageError, match="--max-pixels 0"):
        images.ReadOptions(max_pixels=0)


@pytest.mark.parametrize("format", "BMP GIF JPEG PNG TIFF WEBP AVIF JPEG2000".split())
def test_more_pixels_than_allowed_are_refused_in_every_format(tmp_path, format):
    path = tmp_path / "in"
    Image.fromarray(gradient()).save(path, format)
    with pytest.raises(ImageError, match=r"48 x 32 pixels are more than the 1535.*-pixels 1536"):
        images.read_image(path, options=images.ReadOptions(max_pixels=1535))
    assert images.read_image(path, options=images.ReadOptions(max_pixels=1536)).size == (48, 32)


def test_pillows_own_limit_does_not_stand_below_ours_and_is_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = saved(tmp_path, Image.fromarray(gradient()), "in.png")
    assert images.read_image(path).size == (48, 32)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_webp_whose_canvas_is_a_bomb_is_refused_before_a_decoder_sees_it(tmp_path):
    data = b"RIFF" + struct.pack("<I", 4000) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    path = tmp_path / "bomb.webp"
    path.write_bytes(data + (65534).to_bytes(3, "little") * 2 + b"VP8L" + bytes(100))
    with pytest.raises(ImageError, match=r"bomb\.webp: too large: 65535 x 65535"):
        images.read_image(path)


@pytest.mark.parametrize(("name", "options"), [("in.jpg", {}), ("in.png", {}), ("in.tif", {})])
def test_a_truncated_file_is_refused_or_taken_as_far_as_it_goes(tmp_path, name, options):
    random = np.random.default_rng(3).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    path = saved(tmp_path, Image.fromarray(random), name, **options)
    whole = images.read_image(path, options=images.ReadOptions(allow_truncated=True))
    assert whole.notes == ()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"is damaged or cut short \(.*--allow-truncated takes"):
        images.read_image(path)
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    cut = images.read_image(path, options=images.ReadOptions(allow_truncated=True))
    assert before == ImageFile.LOAD_TRUNCATED_IMAGES
    assert cut.notes == ("is damaged or cut short: parts of it are filled in",)
    assert np.array_equal(cut.pixels[:100], whole.pixels[:100])
    assert not np.array_equal(cut.pixels[200:], whole.pixels[200:])


def test_damaged_and_whole_files_are_read_at_once_each_by_its_rule(tmp_path):
    path = saved(tmp_path, Image.fromarray(gradient(400, 300)), "in.jpg")
    (tmp_path / "cut.jpg").write_bytes(path.read_bytes()[:3000])

    def read(number):
        name = "cut.jpg" if number % 2 else "in.jpg"
        options = images.ReadOptions(allow_truncated=number % 3 == 0)
        try:
            return images.read_image(tmp_path / name, options=options).notes
        except ImageError:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(read, range(60)))
    for number, result in enumerate(results):
        if number % 2 == 0:
            assert result == ()
        elif number % 3 == 0:
            assert result == ("is damaged or cut short: parts of it are filled in",)
        else:
            assert result == "refused"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"just words", "not a picture in a format that can be read"),
        (b"\xff\xd8\xff\xe0" + bytes(30), "not a picture in a format that can be read"),
    ],
)
def test_what_is_no_picture_says_so(tmp_path, content, reason):
    path = tmp_path / "in.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"in\.jpg: {reason}$"):
        images.read_image(path)


def test_a_folder_and_a_file_without_permission_are_image_errors(tmp_path):
    with pytest.raises(ImageError, match="Is a directory"):
        images.read_image(tmp_path)


def test_the_content_tells_the_format_and_the_name_what_is_written(tmp_path):
    path = tmp_path / "in.jpg"
    Image.fromarray(np.dstack([gradient(), gradient()[:, :, 0]])).save(path, "PNG")
    source, after = rewritten(path)
    assert (source.format, after.format, after.mode) == ("PNG", "JPEG", "RGB")


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (20000, 10), (3, 2)])
@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp", "avif", "gif", "bmp"])
def test_odd_sizes_come_back_as_they_were(tmp_path, extension, size):
    if extension == "webp" and max(size) > 16383:
        pytest.skip("a WebP has 16383 pixels a side at most")
    path = saved(tmp_path, Image.new("RGB", size, (90, 120, 150)), f"in.{extension}")
    _, after = rewritten(path)
    assert after.size == size
    assert np.abs(np.asarray(after.convert("RGB"), int) - (90, 120, 150)).max() <= 6


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (20000, 10)])
def test_odd_sizes_become_the_models_square_and_come_back(fit, size):
    source = images.source_from_image(Image.new("RGB", size, (90, 120, 150)))
    square = images.prepare(source, 64, fit)
    assert square.shape == (3, 64, 64)
    restored = images.restore(source, square, square + np.float32(0.1), fit=fit)
    assert restored.shape == (size[1], size[0], 3)


def test_a_picture_too_long_for_its_format_says_so(tmp_path):
    source = images.source_from_image(Image.new("RGB", (20000, 10)), name="long.png")
    with pytest.raises(ImageError, match=r"long\.png: cannot be written as WEBP"):
        images.encode_image(source.pixels, source, format="WEBP")


@pytest.mark.parametrize("name", ["gr\u00fcn \u65e5\u672c.jpg", "a b'c\"d.png", "\U0001f3d4.webp"])
def test_any_name_will_do(tmp_path, name):
    path = saved(tmp_path, Image.fromarray(gradient()), name)
    _, after = rewritten(path, f"out-{name}")
    assert after.size == (48, 32)


def test_a_broken_profile_goes_along(tmp_path):
    path = saved(tmp_path, Image.fromarray(gradient()), "in.png", icc_profile=b"no profile")
    _, after = rewritten(path)
    assert after.info["icc_profile"] == b"no profile"


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_greyscale_keeps_its_profile(tmp_path, mode):
    path = saved(tmp_path, Image.new(mode, (8, 8)), "in.png", icc_profile=b"grey")
    _, after = rewritten(path)
    assert (after.mode, after.info["icc_profile"]) == (mode, b"grey")


def test_greyscale_with_a_transparent_value_gets_alpha(tmp_path):
    picture = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    path = saved(tmp_path, picture, "in.png", transparency=5)
    _, after = rewritten(path)
    assert after.mode == "LA"
    assert np.asarray(after)[0, 5, 1] == 0 and np.asarray(after)[0, 6, 1] == 255


def test_a_picture_in_lab_becomes_srgb(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    picture = Image.fromarray(gradient())
    converted = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
    path = saved(tmp_path, converted, "in.tif")
    source, after = rewritten(path)
    assert after.mode == "RGB"
    assert np.abs(source.pixels.astype(int) - gradient()).mean() < 4


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"])
def test_stripping_leaves_nothing_but_pixels_profile_and_resolution(format):
    if format == "HEIF" and not images.can_write_heif():
        pytest.skip("needs pillow-heif")
    exif = Image.Exif()
    exif[0x010F] = "camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = images.Source(
        name="in",
        pixels=gradient(),
        format=format,
        exif=exif,
        xmp=XMP,
        text={"Title": "secret"},
        comment=b"secret",
        icc=profile,
        dpi=(300, 300),
    )
    note = {"instruction": "secret"}
    kept = images.encode_image(source.pixels, source, format=format, note=note)
    assert b"secret" in kept and b"Ana" in kept and b"camera" in kept
    bare = images.encode_image(source.pixels, source, format=format, note=note, strip=True)
    for word in (b"secret", b"Ana", b"camera", b"editar", b"xmp", b"Exif\0\0", b"eXIf"):
        assert word not in bare
    image = Image.open(io.BytesIO(bare))
    assert image.info["icc_profile"] == profile
    if format in ("JPEG", "PNG", "TIFF"):
        assert round(image.info["dpi"][0]) == 300


@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp", "avif"])
def test_xmp_of_the_source_goes_from_format_to_format(tmp_path, extension):
    path = saved(tmp_path, Image.fromarray(gradient()), "in.jpg", xmp=XMP)
    _, after = rewritten(path, f"out.{extension}", note={"seed": 1})
    packet = after.info["xmp"]
    assert b"Ana" in (packet if isinstance(packet, bytes) else packet.encode())
    assert metadata.how_made(tmp_path / f"out.{extension}") == {"seed": 1}
    source = images.read_image(tmp_path / f"out.{extension}")
    assert b"Ana" in source.xmp and source.text == {}


def test_texts_of_a_png_and_the_comment_of_a_jpeg_are_kept(tmp_path):
    texts = PngInfo()
    texts.add_text("Title", "sea")
    path = saved(tmp_path, Image.fromarray(gradient()), "in.png", pnginfo=texts)
    _, after = rewritten(path)
    assert after.text == {"Title": "sea"}
    path = saved(tmp_path, Image.fromarray(gradient()), "in.jpg", comment=b"sea")
    _, after = rewritten(path)
    assert after.info["comment"] == b"sea"


def test_huge_exif_does_not_keep_a_jpeg_from_being_written(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "camera"
    exif[0x8769] = {0x927C: b"x" * 65_000}
    path = saved(tmp_path, Image.fromarray(gradient()), "in.png", exif=exif)
    _, after = rewritten(path, "out.jpg", note={"seed": 1, "instruction": "x" * 600})
    assert after.getexif()[0x010F] == "camera"
    assert metadata.how_made(tmp_path / "out.jpg")["seed"] == 1


def heic(tmp_path, name="in.heic", **options):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    return saved(tmp_path, Image.fromarray(gradient(64, 48)), name, quality=95, **options)


def test_heic_is_read_and_written_with_its_metadata(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "phone"
    path = heic(tmp_path, exif=exif, xmp=XMP)
    source, after = rewritten(path, note={"seed": 1})
    assert (source.format, source.size, source.extension) == ("HEIF", (64, 48), ".heic")
    assert (after.format, after.size) == ("HEIF", (64, 48))
    assert after.getexif()[0x010F] == "phone"
    assert metadata.how_made(tmp_path / "out.heic") == {"seed": 1}
    _, as_jpeg = rewritten(path, "out.jpg")
    assert as_jpeg.getexif()[0x010F] == "phone"


def test_heic_is_known_by_its_content_whatever_its_name(tmp_path):
    path = heic(tmp_path).rename(tmp_path / "in.jpg")
    source, after = rewritten(path)
    assert (source.format, after.format) == ("HEIF", "JPEG")


def test_orientation_in_the_exif_of_heic_does_not_turn_it_once_more(tmp_path):
    # The decoder has turned it as the file's own properties say.
    exif = Image.Exif()
    exif[0x0112] = 6
    source, after = rewritten(heic(tmp_path, exif=exif))
    assert source.size == after.size == (64, 48)


def test_without_pillow_heif_the_error_says_what_to_install(tmp_path, monkeypatch):
    path = heic(tmp_path)
    monkeypatch.setattr(images, "can_read_heif", lambda: False)
    with pytest.raises(ImageError, match=r"in\.heic: is HEIC.*pip install pillow-heif"):
        images.read_image(path)
    assert not images.is_picture_name(path)
    assert images.is_picture_name(tmp_path / "a.JPG")
    assert not images.is_picture_name(tmp_path / "a.txt")


def test_heic_that_cannot_be_written_becomes_jpeg(monkeypatch):
    monkeypatch.setattr(images, "can_write_heif", lambda: False)
    assert images.written_extension(".HEIC") == ".jpg"
    assert images.written_extension(".png") == ".png"
    source = images.Source(name="a.heic", pixels=gradient(), format="HEIF")
    with pytest.raises(ImageError, match=r"a\.heic: HEIC cannot be written here; give --f"):
        images.output_format(Path("a.heic"), source)


@pytest.mark.parametrize("size", [(1100, 20), (20, 1100)])
def test_of_a_long_strip_only_what_the_square_shows_is_enlarged(monkeypatch, size):
    source = images.source_from_image(Image.fromarray(gradient(*size)))
    square = images.prepare(source, 64, Fit.CROP)
    monkeypatch.setattr(images, "_LONG", 1000)
    assert np.abs(square - images.prepare(source, 64, Fit.CROP)).max() <= 1.01 / 127.5


def test_a_named_pipe_is_read_like_a_file(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4)).save(buffer, "PNG")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(buffer.getvalue(),))
    writer.start()
    assert images.read_image(tmp_path / "pipe").size == (6, 4)
    writer.join()


def test_long_names_alike_up_to_the_last_letter_do_not_share_a_part(tmp_path):
    names = ["n" * 240 + f"{number}.png" for number in range(8)]
    names.append("\N{EVERGREEN TREE}" * 62 + ".png")
    with ThreadPoolExecutor(8) as pool:
        for number, name in enumerate(names):
            pool.submit(images.write_image, tmp_path / name, bytes([number]) * 1_000_000)
    for number, name in enumerate(names):
        assert (tmp_path / name).read_bytes() == bytes([number]) * 1_000_000
    assert len(list(tmp_path.iterdir())) == len(names)
