import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from editar_cli.errors import ModelError
from editar_cli.models.depth import DepthConfig, DepthNetwork
from editar_cli.modes import _small_depth
from editar_cli.modes._mode import ExtractorSettings
from editar_cli.modes._small_depth import load_small_depth, small_depth_file
from editar_cli.modes.depth import MODE

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))
CONFIG = DepthConfig(image_size=32, widths=(8, 12, 16))
SHAPE = {"config": json.dumps(vars(CONFIG))}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random network as the depth stage saves it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = {k: v.half().contiguous() for k, v in DepthNetwork(CONFIG).state_dict().items()}
    path = tmp_path_factory.mktemp("small") / "depth.safetensors"
    save_file(state, path, SHAPE)
    return path


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (32, 32), (20, 300), (131, 97)])
def test_a_picture_of_any_size_gives_a_grey_map_of_that_size(file: Path, size: tuple[int, int]):
    picture = noise(*size)
    before = picture.copy()
    found = load_small_depth(ExtractorSettings(weights=file))(picture)
    assert found.shape == picture.shape and found.dtype == np.uint8
    assert (found == found[..., :1]).all()
    if size != (1, 1):
        assert found.min() == 0 and found.max() == 255
    assert np.array_equal(picture, before)


def test_the_map_is_what_the_network_says_stretched_to_its_range(file: Path):
    picture = noise(32, 32)
    network = DepthNetwork(CONFIG).eval()
    network.load_state_dict({k: v.float() for k, v in load_file(file).items()})
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        near = network(pixels)[0, 0].numpy()
    wanted = 255 * (near - near.min()) / (near.max() - near.min())
    found = load_small_depth(ExtractorSettings(weights=file))(picture)
    assert np.abs(found[..., 0] - wanted).max() <= 1


def test_a_folder_with_the_weights_serves_as_well(file: Path):
    picture = noise(40, 30)
    one, other = (load_small_depth(ExtractorSettings(weights=w)) for w in (file, file.parent))
    assert np.array_equal(one(picture), other(picture))


@pytest.fixture
def luminance(monkeypatch: pytest.MonkeyPatch):
    """Bright is near, whatever the weights say."""
    monkeypatch.setattr(DepthNetwork, "forward", lambda self, x: (x.mean(1, keepdim=True) + 1) / 2)


@pytest.mark.parametrize("size", [(32, 32), (96, 96), (301, 517), (24, 400), (400, 24), (16, 20)])
def test_a_step_stays_where_it_is_in_the_picture(
    file: Path, luminance: None, size: tuple[int, int]
):
    extract = load_small_depth(ExtractorSettings(weights=file))
    for axis in (0, 1):
        length = size[axis]
        edge = length * 3 // 8
        picture = np.full((*size, 3), 40, np.uint8)
        picture[(slice(None),) * axis + (slice(edge, None),)] = 200
        profile = extract(picture)[..., 0].mean(1 - axis)
        # The mass of the step tells its place to a fraction of a pixel.
        found = length - profile.sum() / 255
        assert abs(found - edge) <= max(0.6, 0.5 * length / 32), (axis, found, edge)
        assert profile[0] < 30 and profile[-1] > 225


def test_a_strip_is_enlarged_smoothly_along_its_long_side(file: Path, luminance: None):
    ramp = np.repeat(np.linspace(0, 255, 640)[None], 20, 0).astype(np.uint8)
    picture = np.repeat(ramp[..., None], 3, 2)
    found = load_small_depth(ExtractorSettings(weights=file))(picture)[..., 0].astype(int)
    # In blocks of 20 pixels it would rise by 8 levels at once.
    assert np.diff(found, axis=1).max() <= 2


def test_missing_weights_are_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for place in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ModelError, match="no small depth network can be read from it"):
            load_small_depth(ExtractorSettings(weights=place))
    monkeypatch.setattr(_small_depth, "small_depth_file", lambda: None)
    with pytest.raises(ModelError, match="its weights are not in this installation"):
        load_small_depth(ExtractorSettings())


def damaged(state: dict[str, torch.Tensor]) -> dict[str, tuple[dict, dict]]:
    """Why -> (state, metadata) of a file that must be refused."""
    lacking = dict(list(state.items())[1:])
    wider = {"config": json.dumps({"image_size": 32, "widths": [16, 24, 32]})}
    return {
        "no metadata": (state, {}),
        "no json": (state, {"config": "{"}),
        "unknown field": (state, {"config": '{"depth": 3}'}),
        "no table": (state, {"config": "7"}),
        "no sides": (state, {"config": '{"image_size": 0, "widths": [8, 12, 16]}'}),
        "a tensor less": (lacking, SHAPE),
        "other widths": (state, wider),
    }


@pytest.mark.parametrize("why", damaged({}))
def test_a_damaged_file_is_a_model_error(file: Path, tmp_path: Path, why: str):
    state, metadata = damaged(load_file(file))[why]
    save_file(state, tmp_path / "depth.safetensors", metadata)
    with pytest.raises(ModelError, match=r"depth\.safetensors: no small depth network"):
        load_small_depth(ExtractorSettings(weights=tmp_path))


def test_a_cut_off_file_is_a_model_error(file: Path, tmp_path: Path):
    cut = tmp_path / "depth.safetensors"
    for length in (0, 100, file.stat().st_size - 10):
        cut.write_bytes(file.read_bytes()[:length])
        with pytest.raises(ModelError, match="no small depth network"):
            load_small_depth(ExtractorSettings(weights=cut))


@pytest.mark.skipif(small_depth_file() is None, reason="no weights in this installation")
@pytest.mark.parametrize("photo", EXAMPLES, ids=lambda file: file.stem)
def test_the_embedded_network_sees_that_the_ground_is_nearer_than_the_sky(photo: Path):
    extractor = MODE.extractor("small")
    assert extractor.at_hand()
    with Image.open(photo) as image:
        picture = np.asarray(image.convert("RGB"))
    found = extractor.load(ExtractorSettings())(picture)[..., 0].astype(float)
    third = len(found) // 3
    assert found[-third:].mean() > found[:third].mean() + 30
