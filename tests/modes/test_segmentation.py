import json
from pathlib import Path

import numpy as np
import pytest
import torch

from editar_cli.modes import _controlnet, _hub
from editar_cli.modes._hub import loading
from editar_cli.modes._mode import ExtractorSettings
from editar_cli.modes.segmentation import (
    MODE,
    PROMPT,
    closest,
    coco_colours,
    coco_labels,
    colour_labels,
    paint,
    palette,
    region_map,
)
from tests.network_files import write_tiny_maskformer

CLASSES = json.loads(
    (Path(_hub.__file__).with_name("coco_stuff.json")).read_text(encoding="utf-8")
)["classes"]


def two_halves() -> np.ndarray:
    picture = np.full((60, 90, 3), (40, 120, 220), np.uint8)
    picture[40:] = (60, 110, 30)
    return picture


def test_a_map_has_few_flat_colours_of_the_palette():
    noise = np.random.default_rng(0)
    picture = np.clip(two_halves() + noise.normal(0, 20, (60, 90, 3)), 0, 255).astype(np.uint8)
    found = region_map(picture)
    assert found.shape == picture.shape and found.dtype == np.uint8
    colours = {tuple(c) for c in found.reshape(-1, 3)}
    assert colours <= {tuple(c) for c in palette(6)}
    assert 2 <= len(colours) <= 6


def test_different_colours_lie_in_different_regions():
    found = region_map(two_halves(), regions=2)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 2
    assert (found[:38] == found[0, 0]).all() and (found[42:] == found[-1, 0]).all()


def test_the_largest_region_takes_the_first_colour():
    found = region_map(two_halves(), regions=2)
    first, second = palette(2)
    assert (found[0, 0] == first).all() and (found[-1, 0] == second).all()
    upside_down = region_map(np.ascontiguousarray(two_halves()[::-1]), regions=2)
    assert (upside_down[-1, 0] == first).all()


def test_sky_and_water_of_one_colour_part_by_height():
    picture = np.full((60, 60, 3), (90, 130, 200), np.uint8)
    picture[25:35] = (40, 60, 20)
    found = region_map(picture, regions=3)
    assert (found[5, 30] != found[55, 30]).any()


def test_the_map_is_a_function_of_the_picture():
    picture = two_halves()
    assert np.array_equal(region_map(picture), region_map(picture.copy()))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (16, 16)])
def test_small_and_narrow_pictures_work(size: tuple[int, int]):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    assert region_map(picture).shape == (*size, 3)


def test_the_nearest_centre_is_found():
    points = np.array([[0.0, 0.0], [9.0, 1.0], [2.0, 7.0]], np.float32)
    centres = np.array([[1.0, 8.0], [8.0, 0.0], [1.0, 1.0]], np.float32)
    assert closest(points, centres).tolist() == [2, 1, 0]


def test_the_palette_is_fixed_and_its_colours_lie_apart():
    colours = palette(6).astype(int)
    assert np.array_equal(colours[:3], palette(3))
    apart = np.abs(colours[:, None] - colours[None]).sum(2)
    assert apart[~np.eye(6, dtype=bool)].min() > 60


def test_the_prompt_is_the_one_trained_with():
    assert MODE.prompt == PROMPT and MODE.resize == "flat" and not MODE.at_model_size
    assert {e.name: e.style for e in MODE.extractors.values()} == {
        "regions": "regions",
        "maskformer": "coco-stuff",
        "sam": "regions",
    }
    assert PROMPT == "Given the segmentation mask, generate an image following the description: "


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)


def test_the_regions_extractor_is_the_region_map():
    extract = MODE.extractor("regions").load(ExtractorSettings())
    assert np.array_equal(extract(two_halves()), region_map(two_halves()))


def test_labels_take_the_colours_of_coco_stuff_and_all_others_are_black():
    colours = coco_colours()
    assert colours.shape == (171, 3) and colours.dtype == np.uint8
    shown = colour_labels(np.array([[0, 5, 170], [171, 255, -1]]))
    assert shown.dtype == np.uint8
    assert np.array_equal(shown[0], colours[[0, 5, 170]]) and not shown[1].any()


def test_colours_cannot_be_spoilt_by_a_caller():
    coco_colours()[:] = 7
    assert not (coco_colours() == 7).all()


def test_classes_are_found_by_name_whatever_their_number():
    # The 182 numbers of the data set leave gaps for classes that were never annotated.
    names = {i: f"unused {i}" for i in range(182)}
    names.update({11 + i: name.upper().replace("-", "_") for i, name in enumerate(CLASSES)})
    labels = coco_labels(names, 182)
    assert labels[11:].tolist() == list(range(171)) and (labels[:11] == 255).all()


def test_classes_without_known_names_keep_their_number_where_the_count_fits():
    names = {i: f"LABEL_{i}" for i in range(171)}
    assert coco_labels(names, 171).tolist() == list(range(171))
    assert coco_labels({**names, 3: "cat"}, 171)[3] == CLASSES.index("cat")
    assert (coco_labels(names, 150) == 255).all()


@pytest.fixture(scope="module")
def maskformer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not _hub.installed("transformers"):
        pytest.skip("transformers is not installed")
    return write_tiny_maskformer(tmp_path_factory.mktemp("maskformer"), reversed(CLASSES))


def test_maskformer_colours_a_picture_of_any_size_by_class_name(maskformer_folder: Path):
    from transformers import MaskFormerForInstanceSegmentation, MaskFormerImageProcessor

    extract = MODE.extractor("maskformer").load(ExtractorSettings(weights=maskformer_folder))
    for size in [(1, 1), (1, 90), (90, 1), (61, 97)]:
        assert extract(noise(*size)).shape == (*size, 3)
    with loading("maskformer"):
        model = MaskFormerForInstanceSegmentation.from_pretrained(maskformer_folder).eval()
        processor = MaskFormerImageProcessor.from_pretrained(maskformer_folder)
    from PIL import Image

    picture = noise(61, 97)
    with torch.no_grad():
        answer = model(**processor(images=Image.fromarray(picture), return_tensors="pt"))
    labels = processor.post_process_semantic_segmentation(answer, target_sizes=[(61, 97)])[0]
    # The network's classes stand in the reverse order.
    assert np.array_equal(extract(picture), coco_colours()[170 - labels.numpy()])


def test_maskformer_labels_a_large_picture_without_filling_the_memory(
    maskformer_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from editar_cli.modes import segmentation

    monkeypatch.setattr(segmentation, "MOST_PIXELS", 1000)
    extract = MODE.extractor("maskformer").load(ExtractorSettings(weights=maskformer_folder))
    found = extract(noise(97, 141))
    assert found.shape == (97, 141, 3)
    known = {tuple(colour) for colour in coco_colours()}
    assert {tuple(colour) for colour in found.reshape(-1, 3)} <= known


needs_controlnet = pytest.mark.skipif(
    not _hub.installed("controlnet_aux"), reason="controlnet-aux is not installed"
)


def test_small_masks_lie_on_large_ones_in_the_colours_of_the_palette():
    large, small = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    large[:, :6], small[2:4, 2:4] = True, True
    shown = paint([large, small], (8, 8))
    first, second = palette(2)
    assert (shown[0, 0] == first).all() and (shown[3, 3] == second).all()
    assert not shown[:, 6:].any()


@needs_controlnet
def test_sam_lays_its_masks_on_the_picture_largest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with loading("sam"):
        from controlnet_aux.segment_anything import SamAutomaticMaskGenerator, sam_model_registry

    def bright_and_dark(self, picture: np.ndarray) -> list[dict]:
        masks = [picture[..., 0] > 120, picture[..., 0] <= 120]
        return [{"segmentation": mask, "area": int(mask.sum())} for mask in masks]

    monkeypatch.setattr(SamAutomaticMaskGenerator, "generate", bright_and_dark)
    stand_in = torch.nn.Linear(1, 1)
    monkeypatch.setattr(SamAutomaticMaskGenerator, "__init__", lambda self, *_, **__: None)
    monkeypatch.setitem(sam_model_registry, "vit_t", lambda: stand_in)
    torch.save(stand_in.state_dict(), tmp_path / "mobile_sam.pt")
    extract = MODE.extractor("sam").load(ExtractorSettings(weights=tmp_path))
    large, small = palette(2)
    for height, width in [(301, 517), (64, 500), (500, 64)]:
        picture = np.full((height, width, 3), 40, np.uint8)
        picture[:, width // 4 :] = 200
        is_large = (extract(picture) == large).all(2)
        assert abs(int(is_large[0].argmax()) - width // 4) <= 1
        assert (is_large == is_large[:1]).all() and is_large[0, width // 4 + 1 :].all()
        assert (extract(picture)[0, 0] == small).all()
    assert extract(noise(1, 1)).shape == (1, 1, 3)


@needs_controlnet
@pytest.mark.slow
def test_mobile_sam_runs_with_random_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_controlnet, "POINTS", 2)
    with loading("sam"), torch.random.fork_rng():
        from controlnet_aux.segment_anything import sam_model_registry

        torch.manual_seed(0)
        network = sam_model_registry["vit_t"]()
        with torch.no_grad():
            # Sure of itself and of its masks, so that some are kept.
            network.mask_decoder.iou_prediction_head.layers[-1].bias.fill_(2.0)
            for head in network.mask_decoder.output_hypernetworks_mlps:
                head.layers[-1].weight.mul_(1e4)
                head.layers[-1].bias.mul_(1e4)
        torch.save(network.state_dict(), tmp_path / "mobile_sam.pt")
    extract = MODE.extractor("sam").load(ExtractorSettings(weights=tmp_path, resolution=64))
    found = extract(noise(50, 75))
    assert found.shape == (50, 75, 3) and found.any()
    assert np.array_equal(found, extract(noise(50, 75)))


@needs_controlnet
@pytest.mark.slow
def test_sam_runs_with_random_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_controlnet, "POINTS", 1)
    with loading("sam"):
        from controlnet_aux.segment_anything import sam_model_registry

        torch.save(sam_model_registry["vit_b"]().state_dict(), tmp_path / "sam_vit_b_01ec64.pth")
    extract = MODE.extractor("sam").load(ExtractorSettings(weights=tmp_path, resolution=64))
    assert extract(noise(50, 75)).shape == (50, 75, 3)
