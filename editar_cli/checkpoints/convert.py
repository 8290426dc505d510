"""A published transformer and tokenizer -> a native bundle."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from editar_cli.checkpoints import editar, llamagen
from editar_cli.checkpoints.native import BundleConfig, TextConfig, sha256_of, write_bundle
from editar_cli.checkpoints.published import read_published
from editar_cli.errors import CheckpointError
from editar_cli.tensorfiles import lazy
from editar_cli.text import T5_HUB_ID


def convert(
    transformer: Path,
    tokenizer: Path,
    destination: Path,
    *,
    name: str | None = None,
    text: str = T5_HUB_ID,
    n_head: int | None = None,
    start_grid: int | None = None,
    dtype: torch.dtype | None = None,
    sources: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> BundleConfig:
    """Write a native bundle from published files, tensor by tensor.

    Args:
        transformer: published EditAR file, or with ``start_grid`` a LlamaGen text-to-image one.
        tokenizer: published LlamaGen VQ file.
        destination: bundle folder to write.
        name: the model's name, by default the folder's.
        text: T5 text encoder: hub name, or a folder (stored as an absolute path).
        n_head: attention heads, needed where the size is no published one.
        start_grid: make a training start with a null image for this grid side.
        dtype: number format of the transformer's weights, by default as in the file.
        sources: facts about where the files come from; their names and sha256 are recorded anyway.
        progress: told what is being done.

    Returns:
        What was written into config.json.

    Raises:
        CheckpointError: a file is missing, refused, incomplete or holds anything unexpected.
        UsageError: the head count is needed and not given.
    """
    say = progress or (lambda _: None)
    say(f"reading {transformer}")
    published = read_published(transformer)
    if start_grid is not None:
        published = llamagen.as_training_start(published, start_grid, transformer)
    config = editar.transformer_config(published, transformer, n_head)
    weights = editar.to_native(published, config, transformer, dtype)

    say(f"reading {tokenizer}")
    published_tokenizer = read_published(tokenizer)
    tokenizer_config = llamagen.tokenizer_config(published_tokenizer, tokenizer)
    tokenizer_weights = llamagen.tokenizer_tensors(published_tokenizer, tokenizer_config, tokenizer)

    facts: dict[str, Any] = {
        "converted_from": {
            "transformer": {"file": transformer.name, "sha256": sha256_of(transformer)},
            "tokenizer": {"file": tokenizer.name, "sha256": sha256_of(tokenizer)},
            **(sources or {}),
        }
    }
    if start_grid is not None:
        facts["null_image"] = (
            f"normal noise / sqrt({config.dim}), torch seed {llamagen.NULL_IMAGE_SEED}: the "
            "text-to-image file has none; this bundle is a start for training and cannot edit"
        )
    folder = Path(text).expanduser()
    try:
        bundle = BundleConfig(
            name=name or destination.resolve().name,
            transformer=config,
            tokenizer=tokenizer_config,
            text=TextConfig(
                kind="t5",
                path=str(folder.resolve()) if folder.is_dir() else text,
                text_tokens=config.text_tokens,
            ),
            image_size=config.grid * tokenizer_config.downsampling,
            # As the published models were trained: short side to size, centre square.
            fit="crop",
            training=facts,
        )
    except ValueError as error:
        raise CheckpointError(
            f"{transformer} and {tokenizer} do not belong together: {error}"
        ) from error
    write_bundle(
        destination,
        config=bundle,
        transformer=weights,
        tokenizer={key: lazy(value) for key, value in tokenizer_weights.items()},
        progress=say,
    )
    return bundle
