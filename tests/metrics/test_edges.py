"""Edge maps compared: figures that can be counted by hand, and torchmetrics' own."""

import numpy as np
import pytest
import torch

from editar_cli.errors import ImageError
from editar_cli.metrics.edges import compare_edges


def lines(*columns: int, side: int = 200) -> np.ndarray:
    edges = np.zeros((side, side), np.uint8)
    edges[:, columns] = 255
    return edges


def test_f1_counts_pixels_and_forgives_nothing():
    # One line of two is found, and one of two found lines is none: precision and recall are 1/2.
    assert compare_edges(lines(10, 50), lines(10, 90)).f1 == pytest.approx(0.5)
    assert compare_edges(lines(10), lines(11)).f1 == 0
    # Precision 1, recall 1/2.
    assert compare_edges(lines(10, 50), lines(10)).f1 == pytest.approx(2 / 3)
    assert compare_edges(lines(), lines()).f1 == 0


def test_equal_maps_are_equal():
    found = compare_edges(lines(10, 77), lines(10, 77))
    assert (found.f1, found.ssim) == (1, pytest.approx(1))
    assert found.ms_ssim == pytest.approx(1)


def test_similarity_is_that_of_torchmetrics_classes():
    from torchmetrics.image import (
        MultiScaleStructuralSimilarityIndexMeasure,
        StructuralSimilarityIndexMeasure,
    )

    rng = np.random.default_rng(0)
    pair = [np.where(rng.random((190, 210)) > 0.9, 255, 0).astype(np.uint8) for _ in range(2)]
    first, second = (torch.tensor(edges)[None, None].float() / 255 for edges in pair)
    found = compare_edges(*pair)
    ssim = StructuralSimilarityIndexMeasure(data_range=1.0)(second, first)
    assert found.ssim == pytest.approx(float(ssim), abs=1e-6)
    several = MultiScaleStructuralSimilarityIndexMeasure(data_range=1.0)(second, first)
    assert found.ms_ssim == pytest.approx(float(several), abs=1e-6)


def test_small_maps_have_one_scale_and_tinier_ones_none():
    assert compare_edges(lines(3, side=175), lines(3, side=175)).ms_ssim is None
    assert compare_edges(lines(3, side=176), lines(3, side=176)).ms_ssim == pytest.approx(1)
    with pytest.raises(ImageError, match="under 11 pixels"):
        compare_edges(lines(3, side=10), lines(3, side=10))
    with pytest.raises(ImageError, match="of 20x20 cannot be compared with one of 30x30"):
        compare_edges(lines(3, side=30), lines(3, side=20))
