"""One output code per pass: the plain order in which the model was trained."""

from collections.abc import Callable

import torch
from torch import Tensor

from editar_cli.conditioning import (
    branch_mask,
    image_embeddings,
    null_text_embeddings,
    text_embeddings,
    text_mask,
)
from editar_cli.config import SamplingConfig
from editar_cli.models.gpt import EditARTransformer
from editar_cli.sampling import guide, sample


@torch.inference_mode()
def decode(
    model: EditARTransformer,
    source_codes: Tensor,
    text: Tensor,
    seeds: Tensor,
    config: SamplingConfig,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Write the codes of the edited pictures.

    The two guidance branches share one cache row per picture: see ``conditioning.branch_mask``.

    Args:
        model: in evaluation mode.
        source_codes: (B, S) int64 in [0, V).
        text: (B, T, text_dim) text encodings.
        seeds: (B,) int64.
        config: sampling settings.
        on_step: called with (codes done, codes in all).

    Returns:
        (B, S) int64 codes in [0, V).
    """
    c = model.config
    total, batch = c.codes, source_codes.shape[0]
    guided = _guided_codes(config, total)
    branches = 2 if guided else 1
    # A code is fed to both branches when the next one is guided.
    fed_twice = max(0, guided - 1)
    device = source_codes.device
    cache = model.new_cache(batch, total + branches * c.text_tokens + fed_twice + total)

    x = image_embeddings(model, source_codes)
    model.hidden(x, model.turns[:total], cache=cache)
    x = text_embeddings(model, text.to(x.dtype))
    turns = model.turns[total : total + c.text_tokens]
    if branches == 2:
        x = torch.cat([x, null_text_embeddings(model, batch)], dim=1)
        turns = torch.cat([turns, turns])
    hidden = model.hidden(
        x, turns, mask=text_mask(total, c.text_tokens, branches, device), cache=cache
    )
    logits = model.logits(hidden[:, c.text_tokens - 1 :: c.text_tokens])
    mask = branch_mask(total, c.text_tokens, fed_twice, device) if branches == 2 else None

    codes = torch.empty(batch, total, dtype=torch.int64, device=device)
    for i in range(total):
        chosen = guide(logits[:, 0], logits[:, 1], config.guidance) if i < guided else logits[:, 0]
        codes[:, i] = sample(chosen, seeds, i, config)
        if on_step is not None:
            on_step(i + 1, total)
        if i + 1 == total:
            break
        rows = 2 if i + 1 < guided else 1
        position = total + c.text_tokens + i
        x = model.embed_codes(codes[:, i : i + 1]).expand(-1, rows, -1)
        hidden = model.hidden(
            x,
            model.turns[position].expand(rows, -1, -1),
            mask=None if mask is None else mask[:rows, : cache.used + rows],
            cache=cache,
        )
        logits = model.logits(hidden)
    return codes


def _guided_codes(config: SamplingConfig, total: int) -> int:
    """How many of the first codes are drawn from both branches."""
    if config.guidance == 1.0:
        return 0
    if config.guidance_interval is None:
        return total
    return min(total, config.guidance_interval + 2)
