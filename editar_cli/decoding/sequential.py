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
from editar_cli.sampling import guide, guide_image, sample


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

    nothing = _Nothing(model, source_codes) if config.image_guidance is not None else None

    codes = torch.empty(batch, total, dtype=torch.int64, device=device)
    for i in range(total):
        chosen = logits[:, 0]
        if i < guided and nothing is not None:
            assert config.image_guidance is not None
            chosen = guide_image(
                chosen, logits[:, 1], nothing.logits, config.guidance, config.image_guidance
            )
        elif i < guided:
            chosen = guide(chosen, logits[:, 1], config.guidance)
        codes[:, i] = sample(chosen, seeds, i, config)
        if on_step is not None:
            on_step(i + 1, total)
        if i + 1 == total:
            break
        rows = 2 if i + 1 < guided else 1
        position = total + c.text_tokens + i
        if nothing is not None and rows == 2:
            nothing.feed(codes[:, i : i + 1], position)
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
    if config.guidance == 1.0 and config.image_guidance is None:
        return 0
    if config.guidance_interval is None:
        return total
    return min(total, config.guidance_interval + 2)


class _Nothing:
    """The branch that sees neither image nor text, in a cache of its own: its prefix is another.

    ``logits`` are (B, V), for the code to be drawn next.
    """

    def __init__(self, model: EditARTransformer, source_codes: Tensor) -> None:
        c = model.config
        batch, device = source_codes.shape[0], source_codes.device
        self.model = model
        self.cache = model.new_cache(batch, c.codes + c.text_tokens + c.codes)
        dropped = torch.ones(batch, dtype=torch.bool, device=device)
        image = image_embeddings(model, source_codes, dropped)
        model.hidden(image, model.turns[: c.codes], cache=self.cache)
        hidden = model.hidden(
            null_text_embeddings(model, batch),
            model.turns[c.codes : c.codes + c.text_tokens],
            mask=text_mask(c.codes, c.text_tokens, 1, device),
            cache=self.cache,
        )
        self.logits = model.logits(hidden[:, -1])

    def feed(self, codes: Tensor, position: int) -> None:
        """(B, 1) int64 codes at a position of the sequence -> the next logits."""
        hidden = self.model.hidden(
            self.model.embed_codes(codes),
            self.model.turns[position][None],
            cache=self.cache,
        )
        self.logits = self.model.logits(hidden[:, -1])
