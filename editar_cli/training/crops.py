"""Training crops for the tokenizer: photographs, edited photographs and condition maps.

The photographs at hand lie mostly along an axis from blue to orange. Turned hues, washes of
colour and the edit effects themselves keep the codebook from spending itself there.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from editar_cli.modes.canny import canny_map
from editar_cli.modes.segmentation import region_map
from editar_cli.synthesis import EFFECTS
from editar_cli.training.photos import load_photo
from editar_cli.training.recipe import TokenizerRecipe

Picture = NDArray[np.uint8]

LOADED_SIDE = 320
SMALLEST_VIEW, LARGEST_VIEW = 0.65, 2.0  # side of the viewed picture over the model's


class CropDataset(Dataset[Tensor]):
    """Crop number i is a function of (seed, i) alone: (3, crop, crop) uint8."""

    def __init__(
        self,
        recipe: TokenizerRecipe,
        photos: Sequence[Path],
        depth_maps: Sequence[Path],
        seed: int,
        length: int,
    ) -> None:
        self.recipe = recipe
        self.photos = [load_photo(path, LOADED_SIDE) for path in photos]
        self.depth_maps = [load_photo(path, LOADED_SIDE) for path in depth_maps]
        self.effects = [effect for effect in EFFECTS.values() if effect.kind != "identity"]
        self.seed = seed
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        rng = np.random.default_rng([self.seed, index])
        view = self._view(self.photos[rng.integers(len(self.photos))], rng)
        draw = rng.random()
        if draw < self.recipe.map_share:
            view = self._map(view, rng)
        elif draw < self.recipe.map_share + self.recipe.edit_share:
            effect = self.effects[rng.integers(len(self.effects))]
            view = effect.apply(view, rng)
        elif rng.random() < self.recipe.hue_share:
            view = turn_colours(view, rng)
        crop = self.recipe.crop
        top = rng.integers(view.shape[0] - crop + 1)
        left = rng.integers(view.shape[1] - crop + 1)
        cut = view[top : top + crop, left : left + crop]
        if rng.random() < 0.5:
            cut = cut[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(cut.transpose(2, 0, 1)))

    def _view(self, photo: Picture, rng: np.random.Generator) -> Picture:
        """The photograph at a random size and aspect, never smaller than a crop."""
        import cv2

        size = self.recipe.image_size
        side = size * np.exp(rng.uniform(np.log(SMALLEST_VIEW), np.log(LARGEST_VIEW)))
        aspect = np.exp(rng.uniform(-0.25, 0.25))
        width, height = (max(self.recipe.crop, round(s)) for s in (side * aspect, side / aspect))
        resized = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(resized, np.uint8)

    def _map(self, view: Picture, rng: np.random.Generator) -> Picture:
        kind = rng.integers(3)
        if kind == 0:
            return canny_map(view)
        if kind == 1 or not self.depth_maps:
            return region_map(view)
        return self._view(self.depth_maps[rng.integers(len(self.depth_maps))], rng)


def turn_colours(image: Picture, rng: np.random.Generator) -> Picture:
    """Random hue turn, saturation, gain, gamma and colour wash of an HWC uint8 picture."""
    import cv2

    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(0, 180)) % 180
    hsv[..., 1] = np.minimum(hsv[..., 1] * rng.uniform(0.2, 2.5), 255)
    turned = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32) / 255
    turned = np.power(turned, np.exp(rng.uniform(-0.6, 0.6))) * rng.uniform(0.4, 1.15)
    if rng.random() < 0.5:
        turned = turned * rng.uniform(0.5, 1.3, 3)
    return np.asarray(np.clip(turned * 255 + 0.5, 0, 255), np.uint8)
