from pathlib import Path

import numpy as np
import pytest
import torch

from editar_cli.training.crops import CropDataset, turn_colours
from editar_cli.training.photos import list_photos
from editar_cli.training.recipe import TokenizerRecipe
from tests.training.painted_data import painted_photo, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("crops") / "data", photos=2, scenes=1)


def crops(data: Path, *, seed: int = 0, scenes: bool = True, **recipe: float) -> CropDataset:
    depth = sorted((data / "scenes").glob("*.depth.png")) if scenes else []
    settings = TokenizerRecipe(image_size=32, crop=24, **recipe)
    return CropDataset(settings, list_photos(data / "photos"), depth, seed, 40)


def test_a_crop_is_a_function_of_seed_and_number(data: Path):
    first, again, other = crops(data), crops(data), crops(data, seed=1)
    backwards = {i: again[i] for i in reversed(range(12))}
    assert all(torch.equal(first[i], backwards[i]) for i in range(12))
    assert len({first[i].numpy().tobytes() for i in range(12)}) == 12
    assert not any(torch.equal(first[i], other[i]) for i in range(12))


def test_every_crop_is_a_square_of_bytes(data: Path):
    found = crops(data)
    assert len(found) == 40
    for i in range(40):
        assert found[i].shape == (3, 24, 24) and found[i].dtype == torch.uint8


def test_the_share_of_maps_is_that_of_the_recipe(data: Path):
    # Depth maps are grey, edges black and white, regions of few colours; photographs have grain.
    def flat(crop: torch.Tensor) -> bool:
        colours = torch.unique(crop.flatten(1).T, dim=0)
        return len(colours) <= 6 or bool((colours[:, :1] == colours).all())

    only_maps, only_photos = crops(data, map_share=1.0), crops(data, map_share=0.0, edit_share=0.0)
    assert all(flat(only_maps[i]) for i in range(30))
    assert not any(flat(only_photos[i]) for i in range(30))


def test_without_depth_maps_there_are_edges_and_regions(data: Path):
    found = crops(data, scenes=False, map_share=1.0)
    kinds = {len(torch.unique(found[i].flatten(1).T, dim=0)) <= 2 for i in range(12)}
    assert kinds == {True, False}


def test_turned_colours_spread_over_all_hues():
    photo = np.full((4, 4, 3), (40, 90, 200), np.uint8)
    rng = np.random.default_rng(0)
    turned = np.stack([turn_colours(photo, rng)[0, 0] for _ in range(200)]).astype(int)
    assert turned.dtype == int and turned.min() >= 0 and turned.max() <= 255
    assert set(turned.argmax(1)) == {0, 1, 2}
    assert set(turned.argmin(1)) == {0, 1, 2}


def test_turning_colours_keeps_the_shapes():
    photo = painted_photo(0)
    turned = turn_colours(photo, np.random.default_rng(3))
    assert turned.shape == photo.shape and turned.dtype == np.uint8
    light, other = (p.max(2).astype(float).ravel() for p in (photo, turned))
    assert np.corrcoef(light, other)[0, 1] > 0.8
