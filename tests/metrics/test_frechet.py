"""Frechet distances against a direct computation; Inception with random weights in its layout."""

import numpy as np
import pytest
import scipy.linalg
import torch

from editar_cli.errors import UsageError
from editar_cli.metrics._weights import MetricMissing
from editar_cli.metrics.frechet import Inception, frechet_distance
from tests.network_files import write_random_inception


def test_the_distance_equals_a_direct_computation():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(40, 12)), rng.normal(1, 2, size=(50, 12))
    root = scipy.linalg.sqrtm(np.cov(first.T) @ np.cov(second.T)).real
    expected = np.sum((first.mean(0) - second.mean(0)) ** 2)
    expected += np.trace(np.cov(first.T) + np.cov(second.T) - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_normal_distributions_have_the_distance_of_the_formula():
    rng = np.random.default_rng(1)
    first, second = rng.normal(0, 1, (200_000, 1)), rng.normal(3, 2, (200_000, 1))
    # |0 - 3|^2 + (1 - 2)^2
    assert frechet_distance(first, second) == pytest.approx(10, rel=0.02)


def test_fewer_pictures_than_numbers_are_no_obstacle_but_one_is():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(3, 30)), rng.normal(size=(4, 30))
    assert np.isfinite(frechet_distance(first, second))
    with pytest.raises(UsageError, match="two pictures or more"):
        frechet_distance(first[:1], second)


def test_inception_reads_its_file_and_agrees_with_torchmetrics(tmp_path):
    from torchmetrics.image.fid import FrechetInceptionDistance

    ours = Inception(write_random_inception(tmp_path / "inception.pth"))
    rng = np.random.default_rng(0)
    sets = [rng.integers(0, 256, (6, 40, 50, 3), dtype=np.uint8) // k for k in (1, 2)]
    features = [np.stack([ours(pixels) for pixels in pictures]) for pictures in sets]
    assert features[0].shape == (6, 2048)
    theirs = FrechetInceptionDistance(feature=ours.network)
    for pictures, real in zip(sets, (True, False), strict=True):
        theirs.update(torch.tensor(pictures).permute(0, 3, 1, 2), real=real)
    assert frechet_distance(*features) == pytest.approx(theirs.compute().item(), rel=1e-3)


def test_without_weights_fid_is_missing(tmp_path):
    with pytest.raises(MetricMissing, match="no such file of Inception"):
        Inception(tmp_path / "none.pth")
    (tmp_path / "wrong.pth").write_bytes(b"nothing")
    with pytest.raises(MetricMissing, match="cannot be had"):
        Inception(tmp_path / "wrong.pth")
