"""Pairs made by synthesis, all of them tokenized before the first step."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from editar_cli.errors import TrainingError
from editar_cli.models.vq import VQTokenizer
from editar_cli.training.cutouts import split_cutouts
from editar_cli.training.pairs import (
    PairDataset,
    Share,
    TokenizedPairs,
    read_captions,
    tokenize_pairs,
)
from editar_cli.training.photos import split, split_photos
from editar_cli.training.recipe import EditorRecipe


class SyntheticSource:
    """Implements ``pairs.PairSource`` for a folder of plain photographs.

    Args:
        recipe: what is made of them.
        data: folder with ``photos/`` and, where there are any, ``scenes/`` and ``cutouts/``.
        output: the run's folder, where the pairs are kept.
        most: no more pairs than that are made, whatever the recipe says; for a trial.
        tokenizer: on its device.
        report: told how many of how many pairs of which part are made.

    Raises:
        TrainingError: photographs or cut-outs are missing or too few.
    """

    def __init__(
        self,
        recipe: EditorRecipe,
        data: Path,
        output: Path,
        *,
        tokenizer: VQTokenizer,
        most: int | None = None,
        report: Callable[[str, int, int], None] = lambda part, done, total: None,
    ) -> None:
        self.recipe = recipe
        self._data = data
        train_photos, kept_photos = split_photos(data / "photos", recipe.keep_out_every)
        captions = read_captions(data)
        scenes = sorted((data / "scenes").glob("*.depth.png"))
        train_scenes, kept_scenes = split(scenes, recipe.keep_out_every) if scenes else ([], [])
        train_cutouts, kept_cutouts = None, None
        if recipe.local_share:
            train_cutouts, kept_cutouts = split_cutouts(data / "cutouts", recipe.keep_out_every)
        output.mkdir(parents=True, exist_ok=True)

        def prepare(part: str, kept: bool, count: int) -> TokenizedPairs:
            count = count if most is None else min(count, most)
            views = PairDataset(
                recipe,
                kept_photos if kept else train_photos,
                captions,
                kept_scenes if kept else train_scenes,
                seed=recipe.run.seed + (1 if kept else 0),
                views=count,
                held_out_wording=kept,
                cutouts=kept_cutouts if kept else train_cutouts,
            )
            return tokenize_pairs(
                views,
                tokenizer,
                count=count,
                device=next(tokenizer.parameters()).device,
                workers=recipe.run.workers,
                cache=output / f"{part}.safetensors",
                report=lambda done, total: report(part, done, total),
            )

        self.kept = prepare("kept", True, recipe.validation_pairs)
        self.pairs = prepare("train", False, recipe.pairs)

    def batches(self, first_step: int) -> Iterator[TokenizedPairs]:
        """One batch per optimiser step; each pass over the pairs has its own order."""
        size = self.recipe.schedule.batch_size
        per_pass = len(self.pairs) // size
        if per_pass == 0:
            raise TrainingError(f"{len(self.pairs)} pairs do not fill a batch of {size}")
        for step in range(first_step, self.recipe.schedule.steps):
            round_, place = divmod(step, per_pass)
            order = np.random.default_rng([self.recipe.run.seed, 1, round_]).permutation(
                len(self.pairs)
            )
            yield self.pairs.rows(order[place * size : (place + 1) * size])

    def shares(self) -> list[Share]:
        """All of them from the photographs."""
        samples = self.recipe.schedule.steps * self.recipe.schedule.batch_size
        return [
            Share(
                name="pairs made by synthesis",
                where=str(self._data),
                share=1.0,
                samples=samples,
                rows=self.recipe.pairs,
            )
        ]

    def state(self) -> dict[str, Any]:
        """Nothing: every batch is a function of the step."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """There is nothing to take up."""
