"""The depth stage: a small network learns how near things are from rendered and layered scenes.

What it learns is the square root of inverse depth, each picture's own range scaled to 0..1.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from editar_cli.errors import TrainingError
from editar_cli.models.depth import DepthConfig, DepthNetwork
from editar_cli.modes._controlnet import stretched
from editar_cli.sheets import save_rows
from editar_cli.synthesis.landscapes import make_landscape
from editar_cli.training.crops import turn_colours
from editar_cli.training.loop import leave_signals
from editar_cli.training.photos import load_photo, split, split_photos
from editar_cli.training.recipe import DepthRecipe

LOADED_SIDE = 400
SHEET_COLUMNS = 12


class SceneDataset(Dataset[tuple[Tensor, Tensor]]):
    """Scene i is a function of (seed, i).

    It is a (3, S, S) uint8 picture and its (1, S, S) float32 nearness in [0, 1].
    """

    def __init__(
        self,
        recipe: DepthRecipe,
        photos: Sequence[Path],
        scenes: Sequence[Path],
        cutouts: Sequence[Path],
        *,
        seed: int,
        length: int,
    ) -> None:
        self.recipe = recipe
        self.photos = [load_photo(path, LOADED_SIDE) for path in photos]
        self.scenes = [
            (load_photo(picture_of(path), LOADED_SIDE), load_photo(path, LOADED_SIDE)[..., 0])
            for path in scenes
        ]
        self.cutouts = []
        for path in cutouts:
            with Image.open(path) as image:
                self.cutouts.append(np.asarray(image.convert("RGBA")))
        self.seed = seed
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        import cv2

        rng = np.random.default_rng([self.seed, index])
        size = self.recipe.model.get("image_size", DepthConfig().image_size)
        near: NDArray[np.floating]
        if self.scenes and rng.random() < self.recipe.scene_share:
            image, stored = self.scenes[int(rng.integers(len(self.scenes)))]
            side = image.shape[0]
            cut = int(side * rng.uniform(0.6, 1))
            top, left = (int(rng.integers(side - cut + 1)) for _ in range(2))
            part = (slice(top, top + cut), slice(left, left + cut))
            image, near = image[part], stored[part] / np.float32(255)
        else:
            scene = make_landscape(
                self.photos, self.cutouts, seed=int(rng.integers(2**31)), size=160
            )
            image, near = scene.image, scene.inverse_depth
        image = np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        near = np.asarray(cv2.resize(near, (size, size), interpolation=cv2.INTER_AREA), np.float32)
        if rng.random() < 0.3:
            image = turn_colours(image, rng)
        if rng.random() < 0.5:
            image, near = image[:, ::-1], near[:, ::-1]
        spread = max(float(near.max() - near.min()), 1e-6)
        # The root of inverse depth: hills at the horizon must not be as black as the sky.
        near = np.sqrt((near - near.min()) / spread)
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return pixels, torch.from_numpy(np.ascontiguousarray(near, np.float32))[None]


def picture_of(depth: Path) -> Path:
    """The rendered picture beside its ``NNNN.depth.png``."""
    return depth.with_name(depth.name.replace(".depth.png", ".jpg"))


class DepthStage:
    """Implements ``loop.Stage`` for the depth network."""

    def __init__(self, recipe: DepthRecipe, data: Path, *, device: torch.device) -> None:
        self.recipe = recipe
        self.device = device
        self.train_photos, self.kept_photos = split_photos(data / "photos", recipe.keep_out_every)
        scenes = sorted((data / "scenes").glob("*.depth.png"))
        if not scenes:
            raise TrainingError(
                f"{data / 'scenes'}: no rendered scenes (NNNN.jpg and NNNN.depth.png) in it; "
                "editar_cli.synthesis.scenes.render_folder makes them"
            )
        self.train_scenes, self.kept_scenes = split(scenes, recipe.keep_out_every)
        self.cutouts = sorted((data / "cutouts").glob("*.webp"))
        torch.manual_seed(recipe.run.seed)
        try:
            self.config = DepthConfig(**recipe.model)
        except (TypeError, ValueError) as error:
            raise TrainingError(f"recipe [model]: {error}") from error
        network = DepthNetwork(self.config)
        self.module: nn.Module = network.to(memory_format=torch.channels_last)

    def _scenes(self, photos: Sequence[Path], kept: bool, length: int) -> SceneDataset:
        return SceneDataset(
            self.recipe,
            photos,
            self.kept_scenes if kept else self.train_scenes,
            self.cutouts,
            seed=self.recipe.run.seed + kept,
            length=length,
        )

    def batches(self, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """((B, 3, S, S) float in [-1, 1], (B, 1, S, S) float in [0, 1]), one per optimiser step."""
        size = self.recipe.schedule.batch_size
        scenes = self._scenes(self.train_photos, False, self.recipe.schedule.steps * size)
        loader = DataLoader(
            scenes,
            batch_size=size,
            sampler=range(first_step * size, len(scenes)),
            num_workers=self.recipe.run.workers,
            prefetch_factor=4 if self.recipe.run.workers else None,
            worker_init_fn=leave_signals,
        )
        for pixels, near in loader:
            ready = pixels.to(self.device).float() / 127.5 - 1
            yield ready.contiguous(memory_format=torch.channels_last), near.to(self.device)

    def begin_step(self, step: int) -> None:
        """Nothing changes between steps."""

    def loss(self, batch: tuple[Tensor, Tensor], step: int) -> tuple[Tensor, dict[str, float]]:
        """Absolute error, and that of differences at four scales (MiDaS, arXiv 1907.01341)."""
        pixels, near = batch
        error = self.module(pixels) - near
        loss = plain = error.abs().mean()
        for scale in range(4):
            part = error[..., :: 1 << scale, :: 1 << scale]
            loss = loss + 0.5 * (
                (part[..., 1:] - part[..., :-1]).abs().mean()
                + (part[..., 1:, :] - part[..., :-1, :]).abs().mean()
            )
        return loss, {"absolute": plain.item()}

    @torch.no_grad()
    def validate(self, folder: Path, step: int) -> dict[str, float]:
        """RMSE on 0..255 over kept-out scenes of both kinds; a sheet with photographs as well."""
        scenes = self._scenes(self.kept_photos, True, self.recipe.validation_scenes)
        pairs = [scenes[i] for i in range(len(scenes))]
        images = [pixels.permute(1, 2, 0).numpy() for pixels, _ in pairs]
        truths = [stretched(near[0].numpy()) for _, near in pairs]
        found = self._maps(images)
        errors = [
            np.sqrt(np.mean((a.astype(np.float64) - b) ** 2))
            for a, b in zip(truths, found, strict=True)
        ]
        size = self.config.image_size
        photos = [
            np.asarray(Image.fromarray(load_photo(path, LOADED_SIDE)).resize((size, size)))
            for path in self.kept_photos[:SHEET_COLUMNS]
        ]
        shown = slice(0, SHEET_COLUMNS)
        save_rows(
            folder / f"sheet-{step:06d}.png",
            [images[shown], truths[shown], found[shown], photos, self._maps(photos)],
        )
        return {"val_rmse": float(np.mean(errors))}

    def _maps(self, images: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        maps = []
        for image in images:
            pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(self.device)
            near = self.module(pixels.float() / 127.5 - 1)[0, 0]
            maps.append(stretched(near.cpu().numpy()))
        return maps

    def save(self, folder: Path) -> None:
        """Write ``depth.safetensors``, half precision, with its shape in the metadata."""
        state = {
            name: value.detach().cpu().half().contiguous()
            for name, value in self.module.state_dict().items()
        }
        save_file(state, folder / "depth.safetensors", {"config": json.dumps(vars(self.config))})

    def state(self) -> dict[str, Any]:
        """Nothing beside the network."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """There is nothing to take up."""
