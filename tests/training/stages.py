"""Short runs of both stages at a size where a step takes milliseconds."""

import csv
import json
from pathlib import Path
from typing import Any
from unittest import mock

from safetensors.torch import load_file

from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.training import tokenizer
from editar_cli.training.run import train

HERE = Path(__file__).parent
TOKENIZER_RECIPE = HERE / "tiny-tokenizer.toml"
EDITOR_RECIPE = HERE / "tiny-editor.toml"


def train_tokenizer(data: Path, output: Path) -> Path:
    with mock.patch.multiple(tokenizer, START_CROPS=48, KMEANS_CROPS=48, KMEANS_ROUNDS=4):
        train("tokenizer", recipe=TOKENIZER_RECIPE, data=data, output=output)
    return output


def read_tokenizer(folder: Path) -> VQTokenizer:
    shape: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text())
    model = VQTokenizer(VQConfig(**shape))
    model.load_state_dict(load_file(folder / "tokenizer.safetensors"))
    return model.eval()


def read_figures(run: Path) -> dict[str, list[float]]:
    """name -> its values in the order of the log."""
    figures: dict[str, list[float]] = {}
    with (run / "log.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            figures.setdefault(row["name"], []).append(float(row["value"]))
    return figures
