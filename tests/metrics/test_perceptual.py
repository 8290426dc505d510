"""LPIPS with a random backbone in torchvision's layout, against the formula written out."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.models import squeezenet1_1

from editar_cli.metrics._weights import MetricMissing
from editar_cli.metrics.perceptual import Lpips

ENDS = (1, 4, 7, 9, 10, 11, 12)
"""Layers of SqueezeNet that LPIPS looks at."""


@pytest.fixture(scope="module")
def backbone():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return squeezenet1_1(weights=None).eval()


@pytest.fixture(scope="module")
def lpips(backbone, tmp_path_factory):
    file = tmp_path_factory.mktemp("squeeze") / "squeeze.pth"
    torch.save(backbone.state_dict(), file)
    return Lpips(file)


@pytest.fixture
def pair():
    return np.random.default_rng(0).integers(0, 256, (2, 64, 80, 3), dtype=np.uint8)


def test_the_distance_is_the_published_formula(lpips, backbone, pair):
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]

    def features(pixels):
        x = torch.tensor(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
        x = (x - shift) / scale
        for number, layer in enumerate(backbone.features):
            x = layer(x)
            if number in ENDS:
                yield F.normalize(x, dim=1)

    heads = [lpips.network.get_submodule(f"lin{i}.model.1").weight for i in range(len(ENDS))]
    with torch.inference_mode():
        layers = zip(features(pair[0]), features(pair[1]), heads, strict=True)
        expected = sum(F.conv2d((a - b) ** 2, head).mean().item() for a, b, head in layers)
    assert lpips(*pair) == pytest.approx(expected, rel=1e-4)
    assert expected > 0


def test_a_part_is_compared_with_the_rest_black(lpips, pair):
    part = np.zeros((64, 80), bool)
    part[:32] = True
    dark = pair.copy()
    dark[:, ~part] = 0
    assert lpips(*pair, part) == pytest.approx(lpips(*dark))
    assert lpips(pair[0], pair[0]) == 0
    assert lpips(*pair, np.zeros((64, 80), bool)) is None


def test_without_weights_the_distance_is_missing(tmp_path, monkeypatch):
    with pytest.raises(MetricMissing, match=r"none\.pth: no weights"):
        Lpips(tmp_path / "none.pth")
    torch.save({"x": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(MetricMissing, match=r"is no SqueezeNet"):
        Lpips(tmp_path / "wrong.pth")

    def no_network(*args, **more):
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    with pytest.raises(MetricMissing, match="cannot be downloaded"):
        Lpips()
