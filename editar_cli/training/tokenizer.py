"""The tokenizer stage: photographs in, a codebook and its encoder and decoder out.

First a plain autoencoder on the unit sphere of the codebook's space, with noise where the
quantiser will be; then the codebook is placed by k-means on the sphere; then everything is
trained together through the straight-through estimator (arXiv 1711.00937; unit-length codes as in
arXiv 2110.04627).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from editar_cli.errors import TrainingError
from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.modes.canny import canny_map
from editar_cli.modes.segmentation import region_map
from editar_cli.sheets import save_rows
from editar_cli.training import linear_start
from editar_cli.training.crops import CropDataset, turn_colours
from editar_cli.training.loop import leave_signals
from editar_cli.training.losses import pixel_loss
from editar_cli.training.perceptual import PatchDiscriminator, PerceptualLoss, discriminator_loss
from editar_cli.training.photos import load_photo, split_photos
from editar_cli.training.recipe import TokenizerRecipe

COMMITMENT = 0.25
START_CROPS, KMEANS_CROPS, KMEANS_ROUNDS = 256, 1024, 10


class TokenizerStage:
    """Implements ``loop.Stage`` for the tokenizer."""

    def __init__(
        self,
        recipe: TokenizerRecipe,
        data: Path,
        *,
        device: torch.device,
        init: Path | None = None,
    ) -> None:
        self.recipe = recipe
        self.device = device
        self.train_photos, self.kept_photos = split_photos(data / "photos", recipe.keep_out_every)
        self.depth_maps = sorted((data / "scenes").glob("*.depth.png"))
        torch.manual_seed(recipe.run.seed)
        try:
            self.config = VQConfig(**recipe.model)
        except (TypeError, ValueError) as error:
            raise TrainingError(f"recipe [model]: {error}") from error
        # Channels last: 1.4 times as fast on a CPU.
        self.module: nn.Module = VQTokenizer(self.config).to(memory_format=torch.channels_last)
        self.warm = init is not None
        if init is not None:
            self._load(init)
        # Channels last, as the network's own pictures are.
        self.perceptual: PerceptualLoss | None = None
        if recipe.perceptual_weight:
            self.perceptual = PerceptualLoss(recipe.perceptual).to(device)
            self.perceptual.to(memory_format=torch.channels_last)
        self.discriminator: PatchDiscriminator | None = None
        if recipe.adversarial_weight:
            self.discriminator = PatchDiscriminator().to(device)
            self.discriminator.to(memory_format=torch.channels_last)
            self.judge_optimizer = torch.optim.AdamW(
                self.discriminator.parameters(), lr=recipe.schedule.learning_rate, betas=(0.5, 0.9)
            )

    @property
    def tokenizer(self) -> VQTokenizer:
        """The network, with its type."""
        assert isinstance(self.module, VQTokenizer)
        return self.module

    def batches(self, first_step: int) -> Iterator[Tensor]:
        """(B, 3, crop, crop) float in [-1, 1], one batch per optimiser step."""
        size = self.recipe.schedule.batch_size
        crops = self._crops(seed=self.recipe.run.seed, length=self.recipe.schedule.steps * size)
        loader = torch.utils.data.DataLoader(
            crops,
            batch_size=size,
            sampler=range(first_step * size, len(crops)),
            num_workers=self.recipe.run.workers,
            prefetch_factor=4 if self.recipe.run.workers else None,
            worker_init_fn=leave_signals,
        )
        for batch in loader:
            pixels = batch.to(self.device).float() / 127.5 - 1
            yield pixels.contiguous(memory_format=torch.channels_last)

    def _crops(self, *, seed: int, length: int) -> CropDataset:
        return CropDataset(self.recipe, self.train_photos, self.depth_maps, seed, length)

    def quantised(self, step: int) -> bool:
        """Whether codes are used at this step; a warm start has a codebook from the beginning."""
        return self.warm or step >= self.recipe.autoencoder_steps

    def begin_step(self, step: int) -> None:
        """Set initial values at the start, place the codebook when the autoencoder is done."""
        if not self.warm and step == 0:
            crops = self._crops(seed=self.recipe.run.seed + 1, length=START_CROPS)
            pixels = torch.stack([crops[i] for i in range(START_CROPS)])
            linear_start.start(self.tokenizer, pixels.to(self.device).float() / 127.5 - 1)
        if not self.warm and step == self.recipe.autoencoder_steps:
            self._place_codebook()

    def loss(self, batch: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
        """(B, 3, crop, crop) float in [-1, 1] -> loss, figures."""
        latents = F.normalize(self.tokenizer.latents(batch).float(), dim=1)
        figures: dict[str, float] = {}
        penalty = latents.new_zeros(())
        if self.quantised(step):
            codes = self.tokenizer.quantize.nearest(latents)
            vectors = self.tokenizer.quantize.lookup(codes)
            penalty = F.mse_loss(vectors, latents.detach())
            penalty = penalty + COMMITMENT * F.mse_loss(latents, vectors.detach())
            figures["codebook"] = penalty.item()
            figures["codes_in_batch"] = float(torch.unique(codes).numel())
            vectors = latents + (vectors - latents).detach()
        else:
            noise = torch.randn(
                latents.shape,
                generator=torch.Generator().manual_seed(self.recipe.run.seed * 1_000_003 + step),
            ).to(latents)
            # Noise grows with what the latents have to say.
            share = min(1.0, 2 * step / self.recipe.autoencoder_steps)
            vectors = F.normalize(latents + share * self.recipe.latent_noise * noise, dim=1)
        output = self.tokenizer.decode_vectors(vectors)
        pixels = pixel_loss(
            output.float(),
            batch,
            gradient=self.recipe.gradient_weight,
            colour=self.recipe.colour_weight,
        )
        figures["pixels"] = pixels.item()
        loss = pixels + self.recipe.codebook_weight * penalty
        if self.perceptual is not None:
            seen = self.perceptual(output, batch)
            figures["perceptual"] = seen.item()
            loss = loss + self.recipe.perceptual_weight * seen
        if self.discriminator is not None:
            figures["judge"] = self._train_discriminator(batch, output.detach(), step)
            if step >= self.recipe.adversarial_start:
                self.discriminator.requires_grad_(False)
                fooled = -self.discriminator(output).mean()
                self.discriminator.requires_grad_(True)
                loss = loss + self.recipe.adversarial_weight * fooled
        return loss, figures

    def _train_discriminator(self, batch: Tensor, output: Tensor, step: int) -> float:
        """One step of the discriminator on a batch and what was made of it; its loss."""
        assert self.discriminator is not None
        for group in self.judge_optimizer.param_groups:
            group["lr"] = self.recipe.schedule.rate(step)
        both = self.discriminator(torch.cat([batch, output]))
        loss = discriminator_loss(*both.chunk(2))
        self.judge_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.judge_optimizer.step()
        return loss.item()

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beside the network: the discriminator and its optimiser."""
        if self.discriminator is None:
            return {}
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self.judge_optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` gave."""
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["discriminator"])
            self.judge_optimizer.load_state_dict(state["optimizer"])

    @torch.no_grad()
    def validate(self, folder: Path, step: int) -> dict[str, float]:
        """Round trips of kept-out photographs, their edge and region maps."""
        import cv2

        size = self.recipe.image_size
        photos = [
            np.asarray(
                cv2.resize(load_photo(p, 640), (size, size), interpolation=cv2.INTER_AREA), np.uint8
            )
            for p in self.kept_photos
        ]
        rng = np.random.default_rng(0)
        turned = [turn_colours(photo, rng) for photo in photos]
        back, codes = self._round_trip(photos, step)
        back_turned, _ = self._round_trip(turned, step)
        edges = [canny_map(photo) for photo in photos]
        back_edges, _ = self._round_trip(edges, step)
        regions = [region_map(photo) for photo in photos[:12]]
        back_regions, _ = self._round_trip(regions, step)
        save_rows(
            folder / f"sheet-{step:06d}.png",
            [
                photos[:12],
                back[:12],
                turned[:12],
                back_turned[:12],
                edges[:12],
                back_edges[:12],
                regions,
                back_regions,
            ],
        )
        return {
            "val_psnr": float(np.mean([psnr(a, b) for a, b in zip(photos, back, strict=True)])),
            "val_psnr_turned": float(
                np.mean([psnr(a, b) for a, b in zip(turned, back_turned, strict=True)])
            ),
            "val_ab_error": float(
                np.mean([chroma_error(a, b) for a, b in zip(photos, back, strict=True)])
            ),
            "val_ab_error_turned": float(
                np.mean([chroma_error(a, b) for a, b in zip(turned, back_turned, strict=True)])
            ),
            **{
                f"val_ab_error_{name}": value
                for name, value in chroma_error_by_hue(turned, back_turned).items()
            },
            "val_edge_f1": float(
                np.mean([edge_f1(a, b) for a, b in zip(edges, back_edges, strict=True)])
            ),
            "val_codes_used": float(np.unique(codes).size),
        }

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.safetensors`` and ``tokenizer.json``."""
        state = {k: v.detach().cpu().contiguous() for k, v in self.module.state_dict().items()}
        save_file(state, folder / "tokenizer.safetensors")
        (folder / "tokenizer.json").write_text(json.dumps(self.config.__dict__), encoding="utf-8")

    def _round_trip(
        self, images: list[NDArray[np.uint8]], step: int
    ) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
        output: list[NDArray[np.uint8]] = []
        codes = []
        for start in range(0, len(images), 8):
            pixels = torch.from_numpy(np.stack(images[start : start + 8])).to(self.device)
            pixels = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
            latents = self.tokenizer.latents(pixels)
            found = self.tokenizer.quantize.nearest(latents)
            vectors = self.tokenizer.quantize.lookup(found)
            if not self.quantised(step):
                vectors = F.normalize(latents, dim=1)
            decoded = self.tokenizer.decode_vectors(vectors).clamp(-1, 1)
            decoded = ((decoded + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu()
            output.extend(decoded.numpy())
            codes.append(found.cpu().numpy().reshape(-1))
        return output, np.concatenate(codes)

    @torch.no_grad()
    def _place_codebook(self) -> None:
        crops = self._crops(seed=self.recipe.run.seed + 1, length=KMEANS_CROPS)
        latents = []
        for start in range(0, KMEANS_CROPS, 32):
            pixels = torch.stack([crops[i] for i in range(start, min(start + 32, KMEANS_CROPS))])
            found = self.tokenizer.latents(pixels.to(self.device).float() / 127.5 - 1)
            latents.append(F.normalize(found, dim=1).permute(0, 2, 3, 1).flatten(0, 2).cpu())
        centres = spherical_kmeans(
            torch.cat(latents), self.config.codebook_size, KMEANS_ROUNDS, self.recipe.run.seed
        )
        self.tokenizer.quantize.embedding.weight.copy_(centres)

    def _load(self, path: Path) -> None:
        file = path / "tokenizer.safetensors" if path.is_dir() else path
        try:
            state = load_file(file)
            self.module.load_state_dict({k: v.float() for k, v in state.items()})
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"{file}: cannot start from it: {error}") from error


def spherical_kmeans(points: Tensor, count: int, rounds: int, seed: int) -> Tensor:
    """(N, C) unit vectors -> (count, C) unit centres; empty centres restart at random points.

    Raises:
        TrainingError: there are fewer points than centres.
    """
    if len(points) < count:
        raise TrainingError(f"{len(points)} latents cannot start a codebook of {count} codes")
    generator = torch.Generator().manual_seed(seed)
    centres = points[torch.randperm(len(points), generator=generator)[:count]].clone()
    for _ in range(rounds):
        nearest = torch.cat([(part @ centres.T).argmax(1) for part in torch.split(points, 8192)])
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        empty = torch.bincount(nearest, minlength=count) == 0
        refill = torch.randint(len(points), (int(empty.sum()),), generator=generator)
        sums[empty] = points[refill]
        centres = F.normalize(sums, dim=1)
    return centres


def psnr(reference: NDArray[np.uint8], image: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of two HWC uint8 pictures; 99 where they are equal."""
    mse = float(np.mean((reference.astype(np.float64) - image) ** 2))
    return 10 * float(np.log10(255**2 / mse)) if mse else 99.0


def chroma_error(reference: NDArray[np.uint8], image: NDArray[np.uint8]) -> float:
    """Mean distance in the a*b* plane of two HWC uint8 RGB pictures."""
    return float(np.linalg.norm(_ab(reference) - _ab(image), axis=-1).mean())


def chroma_error_by_hue(
    references: list[NDArray[np.uint8]], images: list[NDArray[np.uint8]]
) -> dict[str, float]:
    """Mean a*b* distance over the clearly coloured pixels of each of six hues."""
    truth = np.concatenate([_ab(image).reshape(-1, 2) for image in references])
    error = np.linalg.norm(
        truth - np.concatenate([_ab(image).reshape(-1, 2) for image in images]), axis=-1
    )
    hue = np.degrees(np.arctan2(truth[:, 1], truth[:, 0])) % 360
    coloured = np.linalg.norm(truth, axis=-1) > 20
    names = ("magenta_red", "orange_yellow", "green", "teal", "blue", "violet")
    result = {}
    for i, name in enumerate(names):
        chosen = coloured & (hue >= i * 60) & (hue < (i + 1) * 60)
        if chosen.any():
            result[name] = float(error[chosen].mean())
    return result


def edge_f1(reference: NDArray[np.uint8], image: NDArray[np.uint8]) -> float:
    """F1 of two white-on-black edge maps, pixel by pixel; 1 where both are empty."""
    truth, found = reference[..., 0] > 127, image[..., 0] > 127
    total = int(truth.sum() + found.sum())
    return 2 * int((truth & found).sum()) / total if total else 1.0


def _ab(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    import cv2

    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab[..., 1:], np.float32)
