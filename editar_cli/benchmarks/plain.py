"""The published way to decode, written plainly: what the engine is compared with.

As in the LlamaGen and EditAR reference (arXiv 2406.06525, 2501.04699): the batch is doubled for
guidance and both halves carry the whole image prefix; keys and values lie in a cache of the full
length 2 S + T; every step attends over all of it under a dense causal mask, multiplies with plain
linear layers and draws from the full vocabulary. The weights are those of the model itself, so it
must run before ``prepare_for_decoding``.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from editar_cli.conditioning import image_embeddings, null_text_embeddings, text_embeddings
from editar_cli.config import SamplingConfig
from editar_cli.decoding.layout import guided_codes
from editar_cli.models.gpt import Block, EditARTransformer
from editar_cli.models.rope import rotate
from editar_cli.sampling import filter_logits, guide

Draw = Callable[[Tensor, Tensor, int, SamplingConfig], Tensor]


def multinomial(logits: Tensor, seeds: Tensor, position: int, sampling: SamplingConfig) -> Tensor:
    """(B, V) logits -> (B,) codes from torch's own generator, as the reference draws them."""
    if sampling.temperature == 0.0:
        return logits.argmax(dim=-1)
    kept = filter_logits(
        logits, temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p
    )
    return torch.multinomial(kept.softmax(dim=-1), 1)[:, 0]


class PlainDecoder:
    """Decodes one batch of pictures.

    Args:
        model: in evaluation mode, its layers as they were built.
        batch: pictures.
        sampling: without image guidance, which the published algorithm does not have.
        draw: takes (B, V) guided logits, (B,) seeds and the code's position.
    """

    def __init__(
        self,
        model: EditARTransformer,
        batch: int,
        sampling: SamplingConfig,
        draw: Draw = multinomial,
    ) -> None:
        assert sampling.image_guidance is None, "the published algorithm has two branches"
        c = model.config
        self.model = model
        self.sampling = sampling
        self.draw = draw
        self.guided = guided_codes(sampling, c.codes)
        self.branches = 2 if self.guided else 1
        self.prefix = c.codes + c.text_tokens
        length = self.prefix + c.codes
        weight = model.code_embedding.weight
        shape = (2, batch * self.branches, c.n_head, length, c.head_dim)
        self.caches = [
            torch.zeros(shape, device=weight.device, dtype=weight.dtype) for _ in range(c.n_layer)
        ]
        self.mask = torch.ones(length, length, dtype=torch.bool, device=weight.device).tril()

    @property
    def nbytes(self) -> int:
        """Memory of the cache in bytes."""
        return sum(cache.numel() * cache.element_size() for cache in self.caches)

    @torch.inference_mode()
    def decode(self, source_codes: Tensor, text: Tensor, seeds: Tensor) -> Tensor:
        """All codes.

        Args:
            source_codes: (B, S) int64.
            text: (B, T, text_dim) encodings.
            seeds: (B,) int64.

        Returns:
            (B, S) int64.
        """
        codes = [self.prefill(source_codes, text, seeds)]
        for position in range(1, self.model.config.codes):
            codes.append(self.step(codes[-1], position, seeds))
        return torch.stack(codes, dim=1)

    @torch.inference_mode()
    def prefill(self, source_codes: Tensor, text: Tensor, seeds: Tensor) -> Tensor:
        """Read image and text. Returns code 0 of each picture, (B,)."""
        model = self.model
        image = image_embeddings(model, source_codes)
        words = text_embeddings(model, text.to(image.dtype))
        x = torch.cat([image, words], dim=1)
        if self.branches == 2:
            nothing_said = null_text_embeddings(model, len(image))
            x = torch.cat([x, torch.cat([image, nothing_said], dim=1)])
        places = torch.arange(self.prefix, device=x.device)
        return self._draw(self._logits(x, places), 0, seeds)

    @torch.inference_mode()
    def step(self, codes: Tensor, position: int, seeds: Tensor) -> Tensor:
        """Read the (B,) codes before ``position``, 1 or more; returns those of ``position``."""
        x = self.model.embed_codes(codes[:, None]).repeat(self.branches, 1, 1)
        places = torch.tensor([self.prefix + position - 1], device=x.device)
        return self._draw(self._logits(x, places), position, seeds)

    def _draw(self, logits: Tensor, position: int, seeds: Tensor) -> Tensor:
        if self.branches == 2:
            conditional, unconditional = logits.chunk(2)
            logits = conditional
            if position < self.guided:
                logits = guide(conditional, unconditional, self.sampling.guidance)
        return self.draw(logits, seeds, position, self.sampling)

    def _logits(self, x: Tensor, places: Tensor) -> Tensor:
        """(rows, N, D) at (N,) places of the sequence -> (rows, V) logits of the last one."""
        mask = self.mask[places][None, None]
        turns = self.model.turns[places]
        for block, cache in zip(self.model.blocks, self.caches, strict=True):
            assert isinstance(block, Block)
            attended = _attend(block, block.attention_norm(x), cache, places, turns, mask)
            x = x + attended
            x = x + block.mlp(block.mlp_norm(x))
        return self.model.logits(x[:, -1])


def _attend(
    block: Block, x: Tensor, cache: Tensor, places: Tensor, turns: Tensor, mask: Tensor
) -> Tensor:
    """Keys and values go to their places; queries look at the whole cache under the mask."""
    attention = block.attention
    heads = attention.qkv(x).unflatten(-1, (3, attention.n_head, -1)).permute(2, 0, 3, 1, 4)
    q, k = rotate(heads[:2], turns)
    keys, values = cache
    keys[:, :, places] = k
    values[:, :, places] = heads[2]
    y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
    out: Tensor = attention.out(y.transpose(1, 2).flatten(2))
    return out
