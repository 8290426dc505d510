"""The numeric helpers shared by the effects."""

from __future__ import annotations

import numpy as np
import pytest

from editar_cli.synthesis import _pixels as px
from tests.synthesis.painted_photos import city, field, mountain


def test_bytes_survive_the_way_to_floats_and_back() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(px.to_photo(px.to_unit(every)), every)


def test_smoothstep_is_zero_half_and_one_at_its_places() -> None:
    values = px.smoothstep(2, 4, np.array([1, 2, 3, 4, 9], np.float32))
    assert values == pytest.approx([0, 0, 0.5, 1, 1])


def test_the_sky_is_found_and_the_ground_is_not() -> None:
    for photo, end_of_sky, start_of_ground in (
        (mountain(256), 90, 185),
        (field(256), 105, 130),
        (city(256), 90, 130),
    ):
        sky = px.sky_weight(px.to_unit(photo))
        assert sky[:end_of_sky].mean() > 0.95
        assert sky[start_of_ground:].mean() < 0.03


def test_a_meadow_without_sky_has_none() -> None:
    meadow = field(256)[120:]
    assert px.sky_weight(px.to_unit(meadow)).max() < 0.05


def test_the_horizon_is_where_the_ground_begins() -> None:
    assert px.horizon(px.sky_weight(px.to_unit(field(256)))) == pytest.approx(0.45, abs=0.03)


def test_a_wide_blur_of_a_reduced_picture_is_the_true_gaussian() -> None:
    import cv2

    picture = px.to_unit(mountain(256))
    exact = cv2.GaussianBlur(picture, (0, 0), 0.05 * 256, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(px.blur(picture, 0.05) - exact).max() < 0.02


def test_lab_and_hsv_lead_back() -> None:
    picture = px.to_unit(mountain(32))
    assert px.from_lab(px.to_lab(picture)) == pytest.approx(picture, abs=2e-3)
    back = px.from_hsv(*px.hue_saturation_value(picture))
    assert back == pytest.approx(picture, abs=2e-3)
    white = px.to_lab(np.ones((1, 1, 3), np.float32))[0, 0]
    assert white == pytest.approx([100, 0, 0], abs=0.1)


def test_kuwahara_keeps_a_step_sharp_and_removes_noise() -> None:
    picture = np.full((64, 64, 3), 0.2, np.float32)
    picture[:, 32:] = 0.8
    noise = np.random.default_rng(0).normal(0, 0.03, picture.shape).astype(np.float32)
    filtered = px.kuwahara(picture + noise, 0.05)
    assert filtered[:, :30].std() < 0.6 * noise.std()
    assert np.abs(filtered[8:56, 33] - 0.8).max() < 0.06
    assert np.abs(filtered[8:56, 30] - 0.2).max() < 0.06


@pytest.mark.parametrize("size", [(256, 256), (256, 512)])
def test_dots_cover_the_same_share_at_any_size(size: tuple[int, int]) -> None:
    def cover(height: int, width: int) -> float:
        layer = px.dots(
            np.zeros((height, width, 3), np.uint8),
            np.random.default_rng(1),
            count=100,
            radius=(0.003, 0.006),
            strength=(1.0, 1.0),
        )
        assert layer.shape == (height, width)
        assert layer.min() >= 0 and layer.max() <= 1
        return float(layer.mean())

    height, width = size
    share = cover(height, width)
    assert 0.001 < share < 0.02
    assert cover(3 * height, 3 * width) == pytest.approx(share, rel=0.1)
