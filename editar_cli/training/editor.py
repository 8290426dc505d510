"""The editor stage: the transformer learns to write the codes of the edited picture."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from editar_cli.checkpoints.native import (
    PUBLISHED_EXTRACTORS,
    BundleConfig,
    TextConfig,
    load_bundle,
    save_bundle,
)
from editar_cli.conditioning import Dropped, image_embeddings, text_embeddings
from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import Request, decode
from editar_cli.decoding.speculative import Speculative
from editar_cli.errors import TrainingError
from editar_cli.geometry import Fit
from editar_cli.models.gpt import EditARTransformer, GPTConfig
from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.modes import load_mode
from editar_cli.modes._mode import ExtractorSettings
from editar_cli.sheets import save_rows
from editar_cli.text import CachedTextEncoder, MiniLMEncoder
from editar_cli.training.adapters import add_adapters, save_adapters
from editar_cli.training.content_store import ContentStore, StoredTextEncoder
from editar_cli.training.datasets import SCHEMAS
from editar_cli.training.distillation import Teacher, distillation_mse
from editar_cli.training.initialisation import initialise
from editar_cli.training.losses import code_cross_entropy
from editar_cli.training.pairs import PairSource, TokenizedPairs
from editar_cli.training.preparation import Preparation
from editar_cli.training.recipe import EditorRecipe
from editar_cli.training.set_source import SetSource
from editar_cli.training.synthetic_source import SyntheticSource
from editar_cli.training.texts import TextTable

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True)
class Batch:
    """Codes (B, S) int64, text encodings (B, T, text_dim) float, dropout draws (B,) in [0, 1).

    `pixels` are the target pictures, (B, 3, H, W) float in [-1, 1], where a teacher is to see more
    of them than their codes keep.
    """

    sources: Tensor
    targets: Tensor
    text: Tensor
    draws: Tensor
    pixels: Tensor | None = None


@dataclass(frozen=True)
class Predictions:
    """What one teacher-forced pass says: logits (B, S, V) and hidden states (B, S, D)."""

    logits: Tensor
    hidden: Tensor


def teacher_forcing(
    model: EditARTransformer, sources: Tensor, targets: Tensor, text: Tensor, dropped: Dropped
) -> Predictions:
    """Run ``[source codes | text | all target codes but the last]`` and read the last S positions.

    Args:
        model: the transformer.
        sources, targets: (B, S) int64 codes; the targets are what is fed in.
        text: (B, T, text_dim) encodings.
        dropped: whose image and text are replaced.
    """
    x = torch.cat(
        [
            image_embeddings(model, sources, dropped.image),
            text_embeddings(model, text, dropped.text),
            model.embed_codes(targets[:, :-1]),
        ],
        dim=1,
    )
    hidden = model.hidden(x, model.turns[: x.shape[1]])[:, -targets.shape[1] :]
    return Predictions(model.logits(hidden), hidden)


def noisy_context(targets: Tensor, share: float, vocab_size: int) -> Tensor:
    """Target codes to feed in, some of them replaced by random ones.

    With true codes before it a small model reads the look off them and hardly needs the sentence,
    so it learns to follow pictures long before it learns to follow words. Random codes make it
    look at source and sentence, and get it used to codes that it will write wrongly itself.

    Args:
        targets: (B, S) int64 codes.
        share: of the samples that get any; each of these has its own rate, 0.3 to 1.
        vocab_size: V.
    """
    if share == 0.0:
        return targets
    rate = torch.rand(len(targets), 1, device=targets.device) * 0.7 + 0.3
    rate = rate * (torch.rand_like(rate) < share)
    random = torch.randint_like(targets, vocab_size)
    return torch.where(torch.rand(targets.shape, device=targets.device) < rate, random, targets)


class EditorStage:
    """Implements ``loop.Stage`` for the transformer."""

    def __init__(
        self,
        recipe: EditorRecipe,
        data: Path | None,
        output: Path,
        *,
        device: torch.device,
        init: Path | None,
        report: Callable[[int, int, dict[str, float]], None],
        notice: Callable[[str], None] = lambda text: None,
        trial: bool = False,
    ) -> None:
        if init is None:
            raise TrainingError(
                "the editor stage starts from a bundle that holds at least a tokenizer and a text "
                "encoder; give it with --init"
            )
        self.recipe = recipe
        self.device = device
        self.start = load_start(init, recipe)
        self.tokenizer = self.start.tokenizer.to(device).eval().requires_grad_(False)
        self.config = self.start.config.transformer
        self.module: nn.Module = self.start.transformer.requires_grad_(True)
        self.adapted: PeftModel | None = None
        if recipe.lora is not None:
            if not (init / "config.json").exists():
                raise TrainingError(f"[lora]: adapters need a trained model; {init} is no bundle")
            torch.manual_seed(recipe.run.seed)
            self.adapted = add_adapters(self.start.transformer, recipe.lora)
        self.teacher = Teacher(recipe.teacher).to(device) if recipe.distillation_weight else None
        if self.teacher is not None and self.config.adapter_dim != self.teacher.dim:
            raise TrainingError(
                f"the model's adapter_dim is {self.config.adapter_dim}, but teacher "
                f"{recipe.teacher} gives {self.teacher.dim} features; set [model] adapter_dim"
            )
        self.source, self.texts = self._pairs(data, output, report, notice, trial)
        self.kept_pairs = self.source.kept

    def _pairs(
        self,
        data: Path | None,
        output: Path,
        report: Callable[[int, int, dict[str, float]], None],
        notice: Callable[[str], None],
        trial: bool,
    ) -> tuple[PairSource, Callable[[Sequence[str]], Tensor]]:
        """Where pairs come from, and what encodes their instructions:
        N -> (N, T, text_dim) float on the device."""
        recipe, encoder = self.recipe, self.start.text_encoder
        if not recipe.data:
            if data is None:
                raise TrainingError(
                    "give a folder with photos/ with --data, or a recipe with [[data]]"
                )
            made = SyntheticSource(
                recipe,
                data,
                output,
                tokenizer=self.tokenizer,
                most=2 * recipe.schedule.batch_size if trial else None,
                report=lambda part, done, total: report(
                    done, total, {f"pairs_{part}": float(done)}
                ),
            )
            return made, TextTable(
                encoder,
                [*made.pairs.instructions, *made.kept.instructions],
                device=self.device,
                dtype=torch.bfloat16 if recipe.run.dtype == "bfloat16" else torch.float32,
                report=lambda done, total: report(done, total, {"instructions": float(done)}),
            )
        store, texts = None, encoder.encode
        if recipe.cache:
            store = ContentStore(output / "cache" if recipe.cache == "run" else Path(recipe.cache))
            texts = StoredTextEncoder(encoder, store).encode
        sets = SetSource(
            recipe,
            data or Path(),
            output,
            tokenizer=self.tokenizer,
            preparation=self._preparation(),
            with_pixels=self.teacher is not None,
            store=store,
            report=lambda done, total: report(done, total, {"rows_checked": float(done)}),
            notice=notice,
        )
        return sets, lambda prompts: texts(prompts).to(self.device)

    def _preparation(self) -> Preparation:
        """Pictures as the start's own engine sees them; maps as it was trained with."""
        bundle = self.start.config
        drawn = {SCHEMAS[entry.kind].source_map for entry in self.recipe.all_data} - {""}
        maps = {}
        for mode in drawn:
            name = bundle.extractors.get(mode, PUBLISHED_EXTRACTORS[mode])[-1]
            maps[mode] = load_mode(mode).extractor(name).load(ExtractorSettings())
        return Preparation(size=bundle.image_size, fit=Fit(bundle.fit), maps=maps)

    @property
    def transformer(self) -> EditARTransformer:
        """The network, with its type."""
        assert isinstance(self.module, EditARTransformer)
        return self.module

    def batches(self, first_step: int) -> Iterator[Batch]:
        """One batch per optimiser step."""
        size = self.recipe.schedule.batch_size
        for step, pairs in enumerate(self.source.batches(first_step), first_step):
            draws = np.random.default_rng([self.recipe.run.seed, 2, step]).random(size)
            yield self._batch(pairs, torch.from_numpy(draws))

    def begin_step(self, step: int) -> None:
        """Dropout layers draw from a generator set by the step, so that a resumed run agrees."""
        torch.manual_seed(self.recipe.run.seed * 1_000_003 + step)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy plus the weighted distillation term."""
        seen = teacher_forcing(
            self.transformer,
            batch.sources,
            noisy_context(batch.targets, self.recipe.noisy_share, self.config.vocab_size),
            batch.text,
            Dropped.from_draw(batch.draws),
        )
        weights = None
        if self.recipe.changed_weight != 1.0:
            changed = (batch.sources != batch.targets).float()
            weights = 1.0 + (self.recipe.changed_weight - 1.0) * changed
        loss = code_cross_entropy(seen.logits, batch.targets, weights)
        figures = {"cross_entropy": loss.item()}
        if self.teacher is not None:
            grid = self.config.grid
            pixels = batch.pixels
            if pixels is None:
                pixels = self.tokenizer.decode(batch.targets.view(-1, grid, grid))
            mse = distillation_mse(
                self.transformer.adapter_features(seen.hidden), self.teacher(pixels)
            )
            figures["distill_mse"] = mse.item()
            loss = loss + self.recipe.distillation_weight * mse
        return loss, figures

    @torch.no_grad()
    def validate(self, folder: Path, step: int) -> dict[str, float]:
        """Loss on kept-out pairs in wordings not trained on, by family, and a sample sheet."""
        losses: dict[str, list[float]] = {}
        hits: list[float] = []
        size = self.recipe.schedule.batch_size
        for start in range(0, len(self.kept_pairs), size):
            chosen = np.arange(start, min(start + size, len(self.kept_pairs)))
            batch = self._batch(self.kept_pairs.rows(chosen), torch.full((len(chosen),), 0.5))
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.recipe.run.dtype == "bfloat16"
            ):
                seen = teacher_forcing(
                    self.transformer,
                    batch.sources,
                    batch.targets,
                    batch.text,
                    Dropped.from_draw(batch.draws),
                )
            for i, row in enumerate(chosen):
                loss = code_cross_entropy(seen.logits[i : i + 1], batch.targets[i : i + 1]).item()
                losses.setdefault(self.kept_pairs.families[row], []).append(loss)
                hits.append((seen.logits[i].argmax(-1) == batch.targets[i]).float().mean().item())
        self._sheet(folder / f"sheet-{step:06d}.png")
        return {
            "val_cross_entropy": float(np.mean([x for v in losses.values() for x in v])),
            "val_accuracy": float(np.mean(hits)),
            **{f"val_cross_entropy_{k}": float(np.mean(v)) for k, v in sorted(losses.items())},
        }

    def save(self, folder: Path) -> None:
        """Write the bundle as it now stands, in half precision, or the adapters as ``lora/``."""
        if self.adapted is not None:
            config = self.start.config
            save_adapters(self.adapted, folder / "lora", base=config.name, training=config.training)
            return
        save_bundle(
            folder / "bundle",
            config=self.start.config,
            transformer=self.module,
            tokenizer=self.tokenizer,
            text_folder=self.start.text_folder,
            dtype=torch.float16,
            tokenizer_dtype=torch.float16,
        )

    def state(self) -> dict[str, Any]:
        """Where the pairs stand; all other draws are a function of the step."""
        return self.source.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` gave."""
        self.source.load_state(state)

    def _sheet(self, path: Path) -> None:
        """Columns of kept-out pairs, through the tokenizer: source, truth, what was written."""
        seen: dict[str, int] = {}
        for i, family in enumerate(self.kept_pairs.families):
            seen.setdefault(family, i)
        chosen = np.array(list(seen.values()))
        batch = self._batch(self.kept_pairs.rows(chosen), torch.full((len(chosen),), 0.5))
        requests = [
            Request(source_codes=batch.sources[i], text=batch.text[i].float(), seed=i)
            for i in range(len(chosen))
        ]
        sampling = self.start.config.sampling
        found = decode(self.transformer, requests, sampling, Speculative(), rows=len(requests))
        written = torch.stack([one.codes for one in sorted(found, key=lambda one: one.index)])
        rows = [self._pictures(codes) for codes in (batch.sources, batch.targets, written)]
        width = 16
        lines = [row[i : i + width] for i in range(0, len(chosen), width) for row in rows]
        save_rows(path, lines)

    def _pictures(self, codes: Tensor) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
        grid = self.config.grid
        pixels = self.tokenizer.decode(codes.view(-1, grid, grid)).clamp(-1, 1)
        pictures = ((pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return list(pictures)

    def _batch(self, pairs: TokenizedPairs, draws: Tensor) -> Batch:
        pixels = None
        if pairs.pixels is not None:
            pixels = pairs.pixels.to(self.device).float() / 127.5 - 1
        return Batch(
            pairs.sources.long().to(self.device),
            pairs.targets.long().to(self.device),
            self.texts(pairs.instructions),
            draws.to(self.device),
            pixels,
        )


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a run begins with."""

    config: BundleConfig
    transformer: EditARTransformer
    tokenizer: VQTokenizer
    text_encoder: CachedTextEncoder
    text_folder: Path | None


def load_start(folder: Path, recipe: EditorRecipe) -> Start:
    """A whole bundle to continue, or a tokenizer and a text encoder to begin with.

    The result of the tokenizer stage (``tokenizer.safetensors``, ``tokenizer.json``) with a
    ``text/`` folder beside it gets a fresh transformer of the recipe's shape.

    Raises:
        TrainingError: parts are missing or do not fit.
        CheckpointError: the bundle cannot be loaded.
    """
    if (folder / "config.json").exists():
        bundle = load_bundle(folder)
        text_encoder = bundle.text_encoder
        assert isinstance(text_encoder, CachedTextEncoder)
        inside = folder / bundle.config.text.path
        tokenizer = bundle.tokenizer
        if recipe.tokenizer:
            tokenizer = _load_tokenizer(Path(recipe.tokenizer), bundle.config.tokenizer)
        return Start(
            config=replace(
                bundle.config,
                sampling=replace(bundle.config.sampling, **recipe.sampling),
                translation={**bundle.config.translation, **recipe.translation},
                extractors={**bundle.config.extractors, **recipe.extractors},
                training={**bundle.config.training, **recipe.facts},
            ),
            transformer=bundle.transformer,
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            text_folder=inside if inside.is_dir() else None,
        )
    needed = ("tokenizer.safetensors", "tokenizer.json", "text")
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        raise TrainingError(
            f"{folder}: neither a bundle nor a tokenizer with a text encoder: "
            f"{missing[0]} is missing"
        )
    tokenizer = _load_tokenizer(folder)
    shape = tokenizer.config
    if recipe.tokenizer:
        tokenizer = _load_tokenizer(Path(recipe.tokenizer), shape)
    encoder = MiniLMEncoder(folder / "text", text_tokens=recipe.text_tokens)
    try:
        config = GPTConfig(
            vocab_size=shape.codebook_size,
            grid=recipe.image_size // shape.downsampling,
            text_tokens=recipe.text_tokens,
            text_dim=encoder.text_dim,
            **recipe.model,
        )
    except (TypeError, ValueError) as error:
        raise TrainingError(f"recipe [model]: {error}") from error
    transformer = EditARTransformer(config)
    initialise(transformer, tokenizer.quantize.vectors().detach(), seed=recipe.run.seed)
    transformer.null_text.copy_(encoder.encode([""])[0])
    return Start(
        config=BundleConfig(
            name=recipe.name,
            transformer=config,
            tokenizer=shape,
            text=TextConfig(kind="minilm", path="text", text_tokens=recipe.text_tokens),
            image_size=recipe.image_size,
            fit="stretch",
            sampling=SamplingConfig(**recipe.sampling),
            translation=recipe.translation,
            extractors=recipe.extractors,
            training=recipe.facts,
        ),
        transformer=transformer,
        tokenizer=tokenizer,
        text_encoder=encoder,
        text_folder=folder / "text",
    )


def _load_tokenizer(folder: Path, wanted: VQConfig | None = None) -> VQTokenizer:
    """The result of a tokenizer stage.

    Raises:
        TrainingError: it is missing, damaged or of another shape than ``wanted``.
    """
    try:
        shape = VQConfig(**json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")))
        tokenizer = VQTokenizer(shape)
        tokenizer.load_state_dict(load_file(folder / "tokenizer.safetensors"))
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"{folder}: no tokenizer can be read from it: {error}") from error
    if wanted is not None and shape != wanted:
        raise TrainingError(f"{folder}: its tokenizer has another shape than the start's: {shape}")
    # As it will be stored: the pairs must be tokenized by the weights that are shipped.
    return tokenizer.half().float()
