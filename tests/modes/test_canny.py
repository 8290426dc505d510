import numpy as np
import pytest

from editar_cli.errors import ModelError, UsageError
from editar_cli.modes import _hub
from editar_cli.modes._hub import loading
from editar_cli.modes._mode import ExtractorSettings
from editar_cli.modes.canny import MODE, PROMPT, canny_map


def square() -> np.ndarray:
    picture = np.full((40, 60, 3), 30, np.uint8)
    picture[10:30, 20:45] = (220, 200, 40)
    return picture


def test_edges_are_white_on_black_in_three_equal_channels():
    found = canny_map(square())
    assert found.shape == (40, 60, 3) and found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 255}
    assert (found == found[..., :1]).all()


def test_the_outline_of_a_square_is_found_and_nothing_else():
    rows, columns = np.nonzero(canny_map(square())[..., 0])
    assert {9, 10} & set(rows) and {29, 30} & set(rows)
    assert rows.min() >= 9 and rows.max() <= 30
    assert columns.min() >= 19 and columns.max() <= 45
    inside = canny_map(square())[13:27, 23:42]
    assert not inside.any()


def test_a_flat_picture_has_no_edges():
    assert not canny_map(np.full((20, 20, 3), 127, np.uint8)).any()


def test_weak_edges_need_low_thresholds():
    faint = np.full((20, 20, 3), 100, np.uint8)
    faint[:, 10:] = 112
    assert not canny_map(faint).any()
    assert canny_map(faint, 10, 30).any()


def test_the_prompt_is_the_one_trained_with():
    assert PROMPT == "Given the canny edge image, generate an image following the description: "


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)


def test_opencv_gives_the_bytes_of_the_controlnet_annotator():
    if not _hub.installed("controlnet_aux"):
        pytest.skip("controlnet-aux is not installed")
    with loading("opencv"):
        from controlnet_aux import CannyDetector
    picture = noise(128, 128)
    picture[40:90, 30:100] = (220, 200, 40)
    theirs = CannyDetector()(picture, detect_resolution=128, image_resolution=128)
    ours = MODE.extractor("opencv").load(ExtractorSettings())(picture)
    assert ours.any() and np.array_equal(ours, theirs)


def test_kornia_gives_what_a_direct_call_gives():
    kornia = pytest.importorskip("kornia", reason="kornia is not installed")
    torch = pytest.importorskip("torch")
    picture = square()
    rgb = torch.tensor(picture).permute(2, 0, 1)[None].float() / 255
    edges = kornia.filters.canny(rgb, 0.1, 0.2)[1][0, 0].numpy()
    found = MODE.extractor("kornia").load(ExtractorSettings())(picture)
    assert found.any() and np.array_equal(found, np.repeat(edges[..., None] * 255, 3, axis=2))


@pytest.mark.parametrize("name", ["opencv", "kornia"])
def test_thresholds_are_listened_to(name: str):
    if name == "kornia":
        pytest.importorskip("kornia", reason="kornia is not installed")
    strict = {"opencv": (900.0, 1000.0), "kornia": (2.5, 2.6)}[name]
    extractor = MODE.extractor(name)
    usual = extractor.load(ExtractorSettings())(square())
    few = extractor.load(ExtractorSettings(low=strict[0], high=strict[1]))(square())
    assert few.sum() < usual.sum()


@pytest.mark.parametrize("name", ["opencv", "kornia"])
@pytest.mark.parametrize("resolution", [None, 64])
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (3, 5), (61, 97)])
def test_every_size_of_picture_works(name: str, resolution: int | None, size: tuple[int, int]):
    if name == "kornia":
        pytest.importorskip("kornia", reason="kornia is not installed")
    found = MODE.extractor(name).load(ExtractorSettings(resolution=resolution))(noise(*size))
    assert found.shape == (*size, 3) and found.dtype == np.uint8
    assert set(np.unique(found)) <= {0, 255}


@pytest.mark.parametrize("name", ["opencv", "kornia"])
def test_edges_found_at_another_resolution_lie_within_a_pixel(name: str):
    if name == "kornia":
        pytest.importorskip("kornia", reason="kornia is not installed")
    picture = np.full((101, 163, 3), 30, np.uint8)
    picture[:, 61:] = 210
    found = MODE.extractor(name).load(ExtractorSettings(resolution=256))(picture)
    columns = np.nonzero(found[..., 0])[1]
    assert len(columns) >= 95 and np.abs(columns + 0.5 - 61).max() <= 1.5


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("opencv", {"low": 250.0}, "--low 250: must not be above --high, 200 by default"),
        ("opencv", {"high": 50.0}, "--high 50: must not be below --low, 100 by default"),
        ("opencv", {"low": -1.0}, "--low -1: must not be negative"),
        ("kornia", {"low": 0.0}, "--low 0: must be above 0"),
    ],
)
def test_thresholds_out_of_range_are_usage_errors(name: str, settings: dict, told: str):
    with pytest.raises(UsageError, match=told):
        MODE.extractor(name).load(ExtractorSettings(**settings))


def test_without_kornia_the_error_says_what_brings_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_hub, "find_spec", lambda name: None)
    assert not MODE.extractor("kornia").at_hand()
    with pytest.raises(ModelError, match=r'pip install "editar\[annotators\]"'):
        MODE.extractor("kornia").load(ExtractorSettings())


def test_the_map_is_drawn_at_the_size_the_model_sees():
    assert MODE.at_model_size and MODE.resize == "lines" and MODE.prompt == PROMPT
    assert list(MODE.extractors) == ["opencv", "kornia"]
