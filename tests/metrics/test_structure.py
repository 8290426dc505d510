"""Structure distance equals the published implementation's, with golden weights in timm's names."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from editar_cli.metrics._weights import MetricMissing
from editar_cli.metrics.structure import NETWORK, StructureDistance
from tests.golden.golden_weights import golden_state_dict
from tests.golden_files import golden_files, golden_tensors

FILES = golden_files("pie_metrics")


@pytest.fixture(scope="module")
def golden_weights(tmp_path_factory):
    """A file of the network's weights; rebuilding them takes some seconds."""
    with torch.device("meta"):
        network = timm.create_model(NETWORK, pretrained=False, num_classes=0)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    tensors = {name: torch.from_numpy(v) for name, v in golden_state_dict(shapes).items()}
    file = tmp_path_factory.mktemp("dino") / "dino.safetensors"
    save_file(tensors, file)
    return file


@pytest.fixture(scope="module")
def distance(golden_weights):
    return StructureDistance(golden_weights)


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_the_distance_equals_the_published_one(distance, file):
    golden = golden_tensors(file)
    source, output = (golden[f"input.{name}"].numpy() for name in ("source", "target"))
    expected = golden["expected.structure_distance"].item()
    assert distance(source, output) == pytest.approx(expected, rel=5e-4)


def test_a_picture_is_at_no_distance_from_itself_whatever_its_size(distance):
    source = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    assert distance(source, source) == 0
    assert distance(source, source[:, ::-1]) > 0


def test_without_weights_the_figure_is_missing_and_says_why(tmp_path, monkeypatch):
    with pytest.raises(MetricMissing, match="no such file of weights"):
        StructureDistance(tmp_path / "none.safetensors")
    wrong = tmp_path / "wrong.safetensors"
    save_file({"x": torch.zeros(1)}, wrong)
    with pytest.raises(MetricMissing, match="cannot be loaded as vit_base"):
        StructureDistance(wrong)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(MetricMissing, match="not in the hub's cache"):
        StructureDistance()
