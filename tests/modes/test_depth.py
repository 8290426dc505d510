import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from editar_cli.errors import ModelError
from editar_cli.modes import _hub
from editar_cli.modes._hub import loading
from editar_cli.modes._mode import ExtractorSettings
from editar_cli.modes.depth import MODE, PROMPT, nearness
from tests.network_files import enliven, write_tiny_dpt

needs_controlnet = pytest.mark.skipif(
    not _hub.installed("controlnet_aux"), reason="controlnet-aux is not installed"
)
needs_transformers = pytest.mark.skipif(
    not _hub.installed("transformers"), reason="transformers is not installed"
)
SIZES = [(1, 1), (1, 90), (90, 1), (61, 97)]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)


def is_depth_map(found: np.ndarray, picture: np.ndarray) -> bool:
    right = found.shape == picture.shape and found.dtype == np.uint8
    full = picture.size == 3 or (found.min() == 0 and found.max() == 255)
    return right and full and bool((found == found[..., :1]).all())


@pytest.fixture(scope="module")
def dpt_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dpt(tmp_path_factory.mktemp("dpt"))


def save_depth_anything(folder: Path, kind: str) -> Path:
    with loading("depth-anything"):
        from transformers import (
            DepthAnythingConfig,
            DepthAnythingForDepthEstimation,
            Dinov2Config,
            DPTImageProcessor,
        )
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, head_hidden_size=8,
        depth_estimation_type=kind, max_depth=20,
    )  # fmt: skip
    size = {"height": 56, "width": 56}
    with torch.random.fork_rng(), loading("depth-anything"):
        torch.manual_seed(0)
        model = DepthAnythingForDepthEstimation(config)
        enliven(model, model.head.conv3)
        model.save_pretrained(folder)
        DPTImageProcessor(size=size, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(
            folder
        )
    return folder


@needs_transformers
@pytest.mark.parametrize("size", SIZES)
def test_dpt_gives_a_map_of_the_pictures_size(dpt_folder: Path, size: tuple[int, int]):
    extract = MODE.extractor("dpt").load(ExtractorSettings(weights=dpt_folder))
    assert is_depth_map(extract(noise(*size)), noise(*size))


@needs_transformers
def test_dpt_gives_what_transformers_gives(dpt_folder: Path):
    from PIL import Image
    from transformers import DPTForDepthEstimation, DPTImageProcessor

    picture = noise(61, 97)
    with loading("dpt"):
        model = DPTForDepthEstimation.from_pretrained(dpt_folder).eval()
        processor = DPTImageProcessor.from_pretrained(dpt_folder)
    inputs = processor(images=Image.fromarray(picture), return_tensors="pt")
    with torch.no_grad():
        depth = model(**inputs).predicted_depth[None]
    depth = torch.nn.functional.interpolate(depth, (61, 97), mode="bicubic")[0, 0].numpy()
    expected = (depth - depth.min()) / (depth.max() - depth.min()) * 255
    found = MODE.extractor("dpt").load(ExtractorSettings(weights=dpt_folder))(picture)
    assert np.abs(found[..., 0] - expected).max() <= 1


@needs_transformers
def test_depth_anything_gives_a_map_of_the_pictures_size(tmp_path: Path):
    folder = save_depth_anything(tmp_path, "relative")
    extract = MODE.extractor("depth-anything").load(ExtractorSettings(weights=folder))
    for size in SIZES:
        assert is_depth_map(extract(noise(*size)), noise(*size))


@needs_transformers
def test_a_network_that_predicts_metres_is_turned_round(tmp_path: Path):
    picture = noise(40, 60)
    maps = []
    for kind in ("relative", "metric"):
        folder = save_depth_anything(tmp_path / kind, kind)
        extract = MODE.extractor("depth-anything").load(ExtractorSettings(weights=folder))
        maps.append(extract(picture)[..., 0].astype(float).ravel())
    assert np.corrcoef(*maps)[0, 1] < -0.9


class Luminance(torch.nn.Module):
    """Stands for a depth network: bright is large."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1)

    def infer(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1, keepdim=True)

    def load_state_dict(self, state, strict=True):
        return torch.nn.modules.module._IncompatibleKeys([], [])


def with_stand_in(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with loading(name):
        import controlnet_aux.midas as midas
        import controlnet_aux.zoe as zoe
    file = folder / "weights.pt"
    torch.save({"model": {}}, file)
    monkeypatch.setattr(midas, "MiDaSInference", lambda **_: Luminance())
    monkeypatch.setattr(zoe.ZoeDepth, "build_from_config", lambda _: Luminance())
    return file


@needs_controlnet
@pytest.mark.parametrize("name", ["midas", "zoe"])
@pytest.mark.parametrize("size", [(301, 517), (517, 301), (64, 500), (500, 64), (700, 90)])
def test_edges_in_the_map_lie_where_they_lie_in_the_picture(
    name: str, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = with_stand_in(name, tmp_path, monkeypatch)
    picture = np.full((*size, 3), 40, np.uint8)
    row, column = size[0] // 3, size[1] // 3
    picture[row:, column:] = 200
    found = MODE.extractor(name).load(ExtractorSettings(weights=file))(picture)
    bright = found[..., 0] > 127
    if name == "zoe":  # metres: bright is far
        bright = ~bright
    assert abs(int(bright[-1].argmax()) - column) <= 1 and bright[-1, column + 1 :].all()
    assert abs(int(bright[:, -1].argmax()) - row) <= 1 and bright[row + 1 :, -1].all()


@needs_controlnet
@pytest.mark.parametrize("name", ["midas", "zoe"])
def test_the_map_is_the_annotators_own_where_that_keeps_the_size(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = with_stand_in(name, tmp_path, monkeypatch)
    with loading(name):
        from controlnet_aux import MidasDetector, ZoeDetector
    network = Luminance()
    network.register_parameter("device", torch.nn.Parameter(torch.zeros(1)))
    detector = {"midas": MidasDetector, "zoe": ZoeDetector}[name](network)
    picture = noise(64, 128)
    theirs = detector(picture, detect_resolution=64, image_resolution=64)
    ours = MODE.extractor(name).load(ExtractorSettings(weights=file, resolution=64))(picture)
    assert np.array_equal(ours, theirs)


@needs_controlnet
@pytest.mark.parametrize("name", ["midas", "zoe"])
def test_controlnet_networks_take_tiny_and_narrow_pictures(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = with_stand_in(name, tmp_path, monkeypatch)
    extract = MODE.extractor(name).load(ExtractorSettings(weights=file))
    for size in SIZES:
        assert is_depth_map(extract(noise(*size)), noise(*size))


@needs_controlnet
@pytest.mark.slow
@pytest.mark.parametrize("name", ["midas", "zoe"])
def test_the_real_networks_run_with_random_weights(name: str, tmp_path: Path):
    file = tmp_path / "weights.pt"
    with loading(name):
        if name == "midas":
            from controlnet_aux.midas.api import DPTDepthModel

            network = DPTDepthModel(path=None, backbone="vitb_rn50_384", non_negative=True)
            torch.nn.init.constant_(network.scratch.output_conv[4].bias, 1.0)
            torch.save(network.state_dict(), file)
        else:
            from controlnet_aux.zoe import ZoeDepth, get_config

            network = ZoeDepth.build_from_config(get_config("zoedepth", "infer"))
            torch.save({"model": network.state_dict()}, file)
    del network
    settings = ExtractorSettings(weights=file, resolution=128)
    extract = MODE.extractor(name).load(settings)
    for size in [(75, 97), (8, 500)]:
        assert is_depth_map(extract(noise(*size)), noise(*size))


@needs_controlnet
@pytest.mark.parametrize("name", [pytest.param("midas", marks=pytest.mark.slow), "zoe"])
def test_a_file_of_something_else_is_a_model_error(name: str, tmp_path: Path):
    file = tmp_path / "weights.pt"
    file.write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"weights\.pt: no .* weights can be read from it"):
        MODE.extractor(name).load(ExtractorSettings(weights=file))


def test_near_is_bright_and_a_flat_scene_is_black():
    metres = np.linspace(1, 30, 300, dtype=np.float32).reshape(10, 30)
    shown = nearness(metres)[..., 0].astype(int)
    assert shown[0, 0] == 255 and shown[-1, -1] == 0
    assert (np.diff(shown.ravel()) <= 0).all()
    assert not nearness(np.full((4, 4), 3.0, np.float32)).any()


def test_the_small_network_is_loaded_when_asked_for(monkeypatch: pytest.MonkeyPatch):
    settings = ExtractorSettings()
    stand_in = SimpleNamespace(load_small_depth=lambda given: (given, "loaded"))
    monkeypatch.setitem(sys.modules, "editar_cli.modes._small_depth", stand_in)
    assert MODE.extractor("small").load(settings) == (settings, "loaded")


def test_the_prompt_is_the_one_trained_with():
    assert PROMPT == "Given the depth image, generate an image following the description: "
    assert MODE.prompt == PROMPT and MODE.resize == "smooth" and not MODE.at_model_size
    assert list(MODE.extractors) == ["small", "dpt", "depth-anything", "midas", "zoe"]
