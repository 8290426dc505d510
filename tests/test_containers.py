import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from editar_cli import containers


def header_of(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    buffer.seek(0)
    header = containers.read_header(buffer)
    assert buffer.tell() == 0
    return header


def noise(channels, height=21, width=33):
    values = np.random.default_rng(channels).integers(0, 65536, (height, width, channels))
    return values.astype(np.uint16)


def encoded(deep, extension):
    order = {2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[deep.shape[2]]
    return cv2.imencode(extension, deep[:, :, order])[1].tobytes()


@pytest.mark.parametrize("more", [{}, {"icc_profile": b"x" * 100_001}, {"exif": b"Exif\0\0" * 9}])
@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_says_whether_it_is_lossless_wherever_its_pixels_stand(lossless, more):
    image = Image.new("RGB", (20, 10))
    assert header_of(image, "WEBP", lossless=lossless, **more).lossless == lossless


def test_an_animated_webp_says_it_of_its_first_frame():
    frames = [Image.effect_noise((9, 9), value).convert("RGB") for value in (20, 90)]
    for lossless in (True, False):
        header = header_of(
            frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=lossless
        )
        assert header.lossless == lossless and header.size == (9, 9)


def test_the_canvas_of_a_webp_is_known_before_a_decoder_makes_room_for_it():
    data = b"RIFF" + struct.pack("<I", 4000) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    data += (65535).to_bytes(3, "little") * 2 + b"VP8L" + bytes(100)
    assert containers.read_header(io.BytesIO(data)).size == (65536, 65536)


@pytest.mark.parametrize(("mode", "bits"), [("I;16", 16), ("RGB", 8), ("1", 1)])
def test_a_png_says_its_depth(mode, bits):
    assert header_of(Image.new(mode, (8, 8)), "PNG").bits == bits


def test_a_jpeg_2000_and_a_portable_map_say_their_depth():
    assert header_of(Image.new("I;16", (32, 32)), "JPEG2000").bits == 16
    assert header_of(Image.new("RGB", (32, 32)), "JPEG2000").bits == 8
    ppm = b"P6 # a comment\n2 1 %d\n" + bytes(12)
    assert containers.read_header(io.BytesIO(ppm % 65535)).bits == 16
    assert containers.read_header(io.BytesIO(ppm % 255)).bits == 8


def test_an_avif_is_no_heic_and_says_whether_it_is_deep():
    header = header_of(Image.new("RGB", (32, 32)), "AVIF")
    assert not header.heif and header.bits == 8
    data = b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf" + b"\0\0\0\x0cav1C\x81\x00\x4c\x00"
    assert containers.read_header(io.BytesIO(data)).bits == 10


@pytest.mark.parametrize(
    ("brand", "compatible", "heif"),
    [
        (b"heic", b"mif1heic", True),
        (b"mif1", b"mif1heic", True),
        (b"mif1", b"avifmif1", False),
        (b"isom", b"iso2avc1", False),
    ],
)
def test_heic_is_known_by_its_brand(brand, compatible, heif):
    data = b"\0\0\0\x18ftyp" + brand + bytes(4) + compatible + bytes(40)
    assert containers.read_header(io.BytesIO(data)).heif == heif


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8X", b"RIFF1234WEBP"])
def test_a_header_cut_short_is_left_to_the_decoder(data):
    assert containers.read_header(io.BytesIO(data)) == containers.Header()


def test_nothing_is_empty():
    assert containers.read_header(io.BytesIO()).empty


def test_all_values_of_16_bits_are_rounded_to_8():
    values = np.arange(65536, dtype=np.uint16)
    expected = np.rint(values / 257).astype(np.uint8)
    assert np.array_equal(containers.to_8_bits(values), expected)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_16_bits_per_channel_are_read_whole(extension, channels):
    deep = noise(channels)
    read = containers.read_deep(io.BytesIO(encoded(deep, extension)), channels)
    assert np.array_equal(read, deep)


@pytest.mark.parametrize("data", [b"no picture", b""])
def test_what_cannot_be_read_in_depth_is_none(data):
    assert containers.read_deep(io.BytesIO(data), 3) is None


def test_8_bits_are_not_read_in_depth():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    assert containers.read_deep(buffer, 3) is None


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_of_16_bits_holds_its_pixels_and_what_stood_beside_others(channels):
    deep = noise(channels)
    beside = io.BytesIO()
    Image.new("RGB", (1, 1)).save(beside, "PNG", icc_profile=b"profile", dpi=(300, 300))
    data = containers.deep_png(deep, beside.getvalue())
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.size == (33, 21)
    assert image.mode == {1: "I;16", 2: "RGBA", 3: "RGB", 4: "RGBA"}[channels]
    assert image.info["icc_profile"] == b"profile"
    assert round(image.info["dpi"][0]) == 300
    if channels == 1:
        assert np.array_equal(np.asarray(image), deep[:, :, 0])
    else:
        assert np.array_equal(containers.read_deep(io.BytesIO(data), channels), deep)


def test_smooth_pixels_make_a_png_smaller_than_they_are():
    y, x = np.mgrid[0:200, 0:300]
    deep = np.stack([x * 100, y * 200, x + y], axis=2).astype(np.uint16)
    beside = io.BytesIO()
    Image.new("RGB", (1, 1)).save(beside, "PNG")
    assert len(containers.deep_png(deep, beside.getvalue())) < deep.nbytes / 20


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_tiff_of_16_bits_holds_pixels_tags_profile_and_resolution(channels, compressed):
    deep = noise(channels)
    exif = Image.Exif()
    exif[0x010F] = "camera"
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05"}
    data = containers.deep_tiff(
        deep, exif=exif, icc=b"profile", dpi=(300, 200), compressed=compressed
    )
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.size == (33, 21)
    assert np.array_equal(np.asarray(image), deep >> 8)
    assert image.info["icc_profile"] == b"profile"
    assert image.info["dpi"] == (300, 200)
    assert image.getexif()[0x010F] == "camera"
    assert image.getexif().get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    assert np.array_equal(containers.read_deep(io.BytesIO(data), channels), deep)
