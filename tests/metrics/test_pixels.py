"""Pixel figures equal the published implementation's (golden files) and direct formulas."""

import numpy as np
import pytest
import torch

from editar_cli.errors import ImageError
from editar_cli.metrics.pixels import compare_pixels
from tests.golden_files import golden_files, golden_tensors

FILES = golden_files("pie_metrics")


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_figures_equal_the_published_ones(file):
    golden = golden_tensors(file)
    source, output = (golden[f"input.{name}"].numpy() for name in ("source", "target"))
    kept = golden["mask"].numpy() == 0
    for suffix, part in (("", None), ("_unedit_part", kept)):
        found = compare_pixels(source, output, part)
        for name in ("mse", "psnr", "ssim"):
            expected = golden[f"expected.{name}{suffix}"].item()
            assert getattr(found, name) == pytest.approx(expected, rel=1e-6)


def test_figures_of_a_part_count_the_rest_as_equal():
    rng = np.random.default_rng(0)
    source, output = rng.integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    part = np.zeros((20, 30), bool)
    part[:5] = True
    found = compare_pixels(source, output, part)
    by_hand = ((source / 255.0 - output / 255.0) ** 2)[part].sum() / source.size
    assert found.mse == pytest.approx(by_hand, rel=1e-5)
    assert found.psnr == pytest.approx(-10 * np.log10(by_hand), rel=1e-5)


def test_equal_pictures_and_empty_parts():
    source = np.full((16, 16, 3), 200, np.uint8)
    found = compare_pixels(source, source)
    assert (found.mse, found.psnr, found.ssim) == (0.0, float("inf"), 1.0)
    assert compare_pixels(source, source, np.zeros((16, 16), bool)) is None


def test_pictures_that_cannot_be_compared_are_refused():
    source = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(ImageError, match="20x16 cannot be compared with one of 16x16"):
        compare_pixels(source, np.zeros((16, 20, 3), np.uint8))
    with pytest.raises(ImageError, match="under 11 pixels"):
        compare_pixels(source[:8], source[:8])


def test_inputs_stay_as_they_are():
    source = np.zeros((16, 16, 3), np.uint8)
    source.flags.writeable = False
    compare_pixels(source, source)
    assert torch.is_inference_mode_enabled() is False
