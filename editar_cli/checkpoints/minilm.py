"""A Hugging Face BERT sentence encoder (all-MiniLM-L6-v2) -> the int8 text folder of a bundle."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from editar_cli.errors import CheckpointError
from editar_cli.tensorfiles import (
    few,
    lazy,
    load_strictly,
    read_tensors,
    without_weights,
    write_tensors,
)
from editar_cli.text import (
    MINILM_MAX_TOKENS,
    SCALE_SUFFIX,
    TEXT_CONFIG,
    TEXT_TOKENIZER,
    TEXT_WEIGHTS,
    quantize_rows,
)

if TYPE_CHECKING:
    import torch

    from editar_cli.models.bert import BertConfig

# Not part of the last hidden state: the pooler comes after it, position numbers are 0, 1, 2, ...
DROPPED = ("pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids")
LAYER_NAMES = {
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "mlp_norm",
}


def bert_config(source: Path, max_positions: int | None = None) -> "BertConfig":
    """The sizes in a Hugging Face config.json.

    Args:
        source: folder with config.json.
        max_positions: keep at most this many positions.

    Raises:
        CheckpointError: no BERT encoder with exact GELU and absolute positions is described.
    """
    from editar_cli.models.bert import BertConfig

    file = source / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; name a folder of a BERT sentence encoder")
    raw = json.loads(file.read_text(encoding="utf-8"))
    wanted = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    for key, value in wanted.items():
        # Newer writers leave the position type out: absolute is the only one left.
        if raw.get(key, value) != value:
            raise CheckpointError(f"{file}: {key} is {raw[key]!r}, only {value!r} is supported")
    positions = int(raw["max_position_embeddings"])
    return BertConfig(
        vocab_size=raw["vocab_size"],
        dim=raw["hidden_size"],
        n_layer=raw["num_hidden_layers"],
        n_head=raw["num_attention_heads"],
        mlp_dim=raw["intermediate_size"],
        max_positions=positions if max_positions is None else min(positions, max_positions),
        norm_eps=raw["layer_norm_eps"],
    )


def bert_state(
    published: "dict[str, torch.Tensor]", config: "BertConfig", file: Path
) -> "dict[str, torch.Tensor]":
    """Hugging Face BertModel tensors -> the names of :class:`editar_cli.models.bert.BertEncoder`.

    Args:
        published: the tensors of BertModel, with or without the prefix ``bert.``.
        config: its sizes.
        file: named in messages.

    Raises:
        CheckpointError: names are missing or unexpected.
    """
    import torch

    left = {name.removeprefix("bert."): value for name, value in published.items()}
    for name in DROPPED:
        left.pop(name, None)

    def take(name: str) -> "torch.Tensor":
        if name not in left:
            raise CheckpointError(f"{file}: {name} is missing; not a BERT encoder's weights")
        return left.pop(name)

    positions = take("embeddings.position_embeddings.weight")[: config.max_positions].float()
    segment = take("embeddings.token_type_embeddings.weight")[0].float()
    state = {
        "word_embedding.weight": take("embeddings.word_embeddings.weight"),
        "position_embedding.weight": positions + segment,
    }
    for part in ("weight", "bias"):
        state[f"embedding_norm.{part}"] = take(f"embeddings.LayerNorm.{part}")
        for i in range(config.n_layer):
            old, new = f"encoder.layer.{i}", f"blocks.{i}"
            qkv = [f"{old}.attention.self.{name}.{part}" for name in ("query", "key", "value")]
            state[f"{new}.attention.qkv.{part}"] = torch.cat([take(name) for name in qkv])
            for old_name, new_name in LAYER_NAMES.items():
                state[f"{new}.{new_name}.{part}"] = take(f"{old}.{old_name}.{part}")
    if left:
        raise CheckpointError(f"{file}: unexpected {few(left)}; not a BERT encoder's weights")
    return state


def write_minilm(source: Path, destination: Path) -> None:
    """Write the text folder of a bundle: matrices as int8 rows, vectors as float16.

    Args:
        source: Hugging Face folder with config.json, model.safetensors and tokenizer.json.
        destination: folder to create or fill.

    Raises:
        CheckpointError: the source is incomplete or of another architecture.
    """
    import torch

    from editar_cli.models.bert import BertEncoder

    config = bert_config(source, MINILM_MAX_TOKENS)
    tokenizer = source / TEXT_TOKENIZER
    if not tokenizer.is_file():
        raise CheckpointError(f"{tokenizer}: no such file; a fast tokenizer is needed")
    weights = source / TEXT_WEIGHTS
    state = bert_state(read_tensors(weights), config, weights)
    with without_weights():
        model = BertEncoder(config)
    load_strictly(model, state, weights)

    stored: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if value.ndim == 2:
            stored[name], stored[name + SCALE_SUFFIX] = quantize_rows(value)
        else:
            stored[name] = value.half()
    destination.mkdir(parents=True, exist_ok=True)
    write_tensors(destination / TEXT_WEIGHTS, {name: lazy(value) for name, value in stored.items()})
    (destination / TEXT_CONFIG).write_text(
        json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8"
    )
    shutil.copyfile(tokenizer, destination / TEXT_TOKENIZER)
