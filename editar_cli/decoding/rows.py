"""Pictures that are being decoded, one cache row each: prefix in, guided logits out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editar_cli.conditioning import image_embeddings, null_text_embeddings, text_embeddings
from editar_cli.config import SamplingConfig
from editar_cli.decoding.graphs import StepGraphs
from editar_cli.decoding.layout import (
    CONDITIONAL,
    NOTHING,
    TEXT_PLACES,
    TEXTLESS,
    Layout,
    guided_codes,
)
from editar_cli.models.attention import CPU_QUERIES, attention_bias_dtype
from editar_cli.models.gpt import EditARTransformer
from editar_cli.models.kv_cache import KVCache
from editar_cli.sampling import guide, guide_image, sample


@dataclass(frozen=True)
class _Place:
    """Of the positions of a pass: cache places, (B or 1, 1, M, K) bias, rotary rows."""

    where: Tensor | slice
    bias: Tensor
    turns: Tensor


class Rows:
    """The cache of up to ``count`` pictures and the passes that fill it.

    A pass gives each row the same number of output codes to read, wherever the row stands. On a
    CPU with AVX-512 a row's logits are the same to the last bit, however many codes and rows share
    the pass; elsewhere to float32 rounding.

    Args:
        model: in evaluation mode.
        count: rows.
        sampling: guidance decides which branches run.
    """

    def __init__(self, model: EditARTransformer, count: int, sampling: SamplingConfig) -> None:
        assert count >= 1, count
        c = model.config
        self.model = model
        self.count = count
        self.sampling = sampling
        self.guided = guided_codes(sampling, c.codes)
        self.layout = Layout.of(c, sampling)
        self.cache = model.new_cache(count, self.layout.length)
        device, dtype = self.cache.keys.device, self.cache.keys.dtype
        self.device = device
        self._places = self.layout.places(device)
        bias_dtype = attention_bias_dtype(dtype, device)
        self._bias = self.layout.bias(device, bias_dtype)
        self._text_bias = self.layout.text_bias(device, bias_dtype)
        self._turns = model.turns[c.codes + c.text_tokens :]
        if self.layout.branches > TEXTLESS:
            self._null_text = null_text_embeddings(model, 1)
        if self.layout.branches > NOTHING:
            self._nothing = self._fill_nothing()
        # (count, branches, V): of output code 0, as the last prefix of each row left them.
        self.opening = torch.zeros(count, self.layout.branches, c.vocab_size, device=device)
        self.graphs = StepGraphs(self) if device.type == "cuda" else None

    def fill(self, first: int, source_codes: Tensor, text: Tensor) -> Tensor:
        """Put pictures into the rows from ``first`` on.

        Args:
            first: the first row.
            source_codes: (B, S) int64.
            text: (B, T, text_dim) encodings.

        Returns:
            (B, V) guided logits of output code 0.
        """
        self._fill_images(first, source_codes)
        return self._fill_texts(first, text)

    def copy(self, source: int, target: int) -> None:
        """Give row ``target`` everything row ``source`` holds."""
        self.cache.copy(source, target, self.layout.length)

    def fill_again(self, source: int, target: int, text: Tensor) -> Tensor:
        """``fill`` for row ``target`` with the picture of row ``source`` and (1, T, text_dim)."""
        self.cache.copy(source, target, self.layout.codes)
        return self._fill_texts(target, text)

    def feed(self, codes: Tensor, first: Sequence[int], skip: int = 0) -> Tensor:
        """Read output codes and say what comes after each.

        Args:
            codes: (B, N) int64, of the first B rows; what goes beyond a picture's end is ignored.
            first: index of each row's first code, below S.
            skip: how many of the first codes nobody wants the logits of.

        Returns:
            (B, N - skip, V) guided logits: of the codes ``first + 1 + skip`` and following; what
            lies beyond the picture's end is meaningless.
        """
        logits = self._read(codes, first, skip)
        all_guided = max(first) + codes.shape[1] < self.guided
        return self._combine(logits, None if all_guided else self._coming(codes, first, skip))

    def _read(self, codes: Tensor, first: Sequence[int], skip: int) -> Tensor:
        """(B, N) codes -> (B, N - skip, branches, V) logits of as many branches as must run."""
        layout = self.layout
        count = codes.shape[1]
        branches, visible = self.extent(first, count)
        begin, stop = first[0], max(first) + count
        alike = all(at == begin for at in first) and stop < layout.codes
        if alike and (branches == 1 or stop <= layout.paired):
            # All rows stand at the same code: everything is a slice.
            turns = self._turns[begin:stop]
            place = _Place(
                where=slice(layout.end(begin), layout.end(begin) + branches * count),
                bias=self._bias[begin:stop, :branches, :visible].flatten(0, 1)[None, None],
                turns=turns.repeat_interleave(branches, dim=0) if branches > 1 else turns,
            )
        else:
            place = self._place(torch.tensor(first, device=self.device), count, branches, visible)
        return self._run(codes, place, branches, visible, skip)

    def _coming(self, codes: Tensor, first: Sequence[int], skip: int) -> Tensor:
        """(B, N - skip) int64: which codes come after these."""
        coming = torch.tensor(first, device=self.device)[:, None] + 1
        return coming + torch.arange(skip, codes.shape[1], device=self.device)

    def draw(self, codes: Tensor, first: Sequence[int], seeds: Tensor, skip: int = 0) -> Tensor:
        """``feed``, and draw the code that comes after each.

        Args:
            codes, first, skip: as for ``feed``.
            seeds: (B,) int64.

        Returns:
            (B, N - skip) int64.
        """
        if self.graphs is not None:
            return self.graphs.draw(codes, first, seeds)[0][:, skip:]
        logits = self.feed(codes, first, skip)
        return sample(logits, seeds[:, None], self._coming(codes, first, skip), self.sampling)

    def draw_scored(
        self, codes: Tensor, first: Sequence[int], seeds: Tensor, skip: int = 0
    ) -> tuple[Tensor, Tensor]:
        """``draw``, and what ``score`` says of each code: (B, N - skip) and (B, N - skip, 2)."""
        if self.graphs is not None:
            drawn, scores = self.graphs.draw(codes, first, seeds, scored=True)
            assert scores is not None
            return drawn[:, skip:], scores[:, skip:]
        logits = self._read(codes, first, skip)
        coming = self._coming(codes, first, skip)
        guided = self._combine(logits, coming)
        drawn = sample(guided, seeds[:, None], coming, self.sampling)
        return drawn, self.score(logits, guided, drawn)

    def score(self, logits: Tensor, guided: Tensor, codes: Tensor) -> Tensor:
        """How likely drawn codes were, at temperature 1 and unfiltered.

        Args:
            logits: (..., branches, V) of all branches.
            guided: (..., V) what they make together.
            codes: (...) int64.

        Returns:
            (..., 2) float32: the logarithm of a code's probability under the guided logits, and by
            how much the instruction raised that logarithm: conditional less textless branch, where
            both were run.
        """
        likelihood = _log_probability(guided, codes)
        if logits.shape[-2] == 1:
            return torch.stack([likelihood, torch.zeros_like(likelihood)], dim=-1)
        text, textless = (
            _log_probability(logits[..., branch, :], codes) for branch in (CONDITIONAL, TEXTLESS)
        )
        return torch.stack([likelihood, text - textless], dim=-1)

    def extent(self, first: Sequence[int], count: int) -> tuple[int, int]:
        """Branches that a pass runs and cached positions that it reads."""
        branches = self.layout.branches if min(first) < self.layout.paired else 1
        fed = min(max(first) + count, self.layout.codes - 1)
        return branches, self.layout.visible(self.layout.end(fed))

    def step(
        self,
        codes: Tensor,
        first: Tensor,
        seeds: Tensor,
        branches: int,
        visible: int,
        *,
        scored: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """``draw`` as a function of tensors on the device alone: no shape depends on their values.

        Args:
            codes: (B, N) int64.
            first: (B,) int64; S - 1 for a row that is to do nothing.
            seeds: (B,) int64.
            branches, visible: at least what ``extent`` says.
            scored: also say what ``score`` does.

        Returns:
            (B, N) int64, and (B, N, 2) scores.
        """
        count = codes.shape[1]
        place = self._place(first, count, branches, visible)
        logits = self._run(codes, place, branches, visible, 0)
        coming = first[:, None] + 1 + torch.arange(count, device=self.device)
        guided = self._combine(logits, coming)
        drawn = sample(guided, seeds[:, None], coming, self.sampling)
        return drawn, self.score(logits, guided, drawn) if scored else None

    def _place(self, first: Tensor, count: int, branches: int, visible: int) -> "_Place":
        index = first[:, None] + torch.arange(count, device=self.device)
        index = index.clamp_max(self.layout.codes - 1)
        return _Place(
            where=self._places[index, :branches].flatten(1),
            bias=self._bias[index, :branches, :visible].flatten(1, 2)[:, None],
            turns=self._turns[index.repeat_interleave(branches, dim=1)][:, None],
        )

    def _run(
        self, codes: Tensor, place: "_Place", branches: int, visible: int, skip: int
    ) -> Tensor:
        """(B, N) codes -> (B, N - skip, branches, V) logits."""
        rows, count = codes.shape
        bias = place.bias
        padding = -bias.shape[2] % CPU_QUERIES
        if padding:
            bias = torch.cat([bias, bias[:, :, -1:].expand(-1, -1, padding, -1)], dim=2)
        x = self.model.embed_codes(codes).repeat_interleave(branches, dim=1)
        window = self.cache.at(slice(0, rows), place.where, visible)
        hidden = self.model.hidden(x, place.turns, window=window, bias=bias)
        return self.model.logits(hidden.view(rows, count, branches, -1)[:, skip:])

    def _combine(self, logits: Tensor, coming: Tensor | None) -> Tensor:
        """(B, N, branches, V) logits -> (B, N, V), guided where the code to come is.

        Args:
            logits: of all branches.
            coming: (B, N) int64, which codes they are for; ``None`` where all are guided.
        """
        chosen = logits[:, :, 0]
        if logits.shape[2] == 1:
            return chosen
        scale, image_scale = self.sampling.guidance, self.sampling.image_guidance
        if image_scale is None:
            mixed = guide(chosen, logits[:, :, TEXTLESS], scale)
        else:
            mixed = guide_image(
                chosen, logits[:, :, TEXTLESS], logits[:, :, NOTHING], scale, image_scale
            )
        if coming is None:
            return mixed
        return torch.where((coming < self.guided)[..., None], mixed, chosen)

    def _fill_images(self, first: int, source_codes: Tensor) -> None:
        total = self.layout.codes
        rows = slice(first, first + len(source_codes))
        self.model.hidden(
            image_embeddings(self.model, source_codes),
            self.model.turns[:total],
            window=self.cache.at(rows, slice(0, total), total),
        )

    def _fill_texts(self, first: int, text: Tensor) -> Tensor:
        layout, batch = self.layout, len(text)
        x = text_embeddings(self.model, text.to(self.cache.keys.dtype))
        if layout.branches > TEXTLESS:
            x = torch.cat([x, self._null_text.expand(batch, -1, -1)], dim=1)
        rows = slice(first, first + batch)
        logits = _read_texts(self.model, layout, self.cache, rows, x, self._text_bias)
        if layout.branches > NOTHING:
            logits = torch.cat([logits, self._nothing.expand(batch, 1, -1)], dim=1)
        self.opening[rows] = logits.float()
        # Code 0 is guided wherever there is guidance at all.
        return self._combine(logits[:, None], None)[:, 0]

    def _fill_nothing(self) -> Tensor:
        """The prefix of null image and null text is the same for all pictures.

        Returns:
            (1, 1, V) logits of output code 0.
        """
        model, layout = self.model, self.layout
        total, one = layout.codes, slice(0, 1)
        alone = Layout(codes=total, text_tokens=layout.text_tokens, branches=1, paired=0)
        cache = model.new_cache(1, alone.length)
        image = image_embeddings(
            model,
            torch.zeros(1, total, dtype=torch.int64, device=self.device),
            torch.ones(1, dtype=torch.bool, device=self.device),
        )
        model.hidden(image, model.turns[:total], window=cache.at(one, slice(0, total), total))
        bias = alone.text_bias(self.device, self._bias.dtype)
        logits = _read_texts(model, alone, cache, one, null_text_embeddings(model, 1), bias)
        places = slice(layout.nothing, layout.prefix)
        for whole, part in ((self.cache.keys, cache.keys), (self.cache.values, cache.values)):
            whole[:, :, :, places] = part[:, :, :, : alone.prefix]
        return logits


def _log_probability(logits: Tensor, codes: Tensor) -> Tensor:
    """(..., V) logits, (...) codes -> (...) float32."""
    return logits.float().log_softmax(-1).gather(-1, codes[..., None])[..., 0]


def _read_texts(
    model: EditARTransformer, layout: Layout, cache: KVCache, rows: slice, x: Tensor, bias: Tensor
) -> Tensor:
    """Run (B, texts * T, D) embedded texts behind the image and keep the mean of their values.

    Returns:
        (B, texts, V) logits at the end of each text.
    """
    begin, tokens = layout.prefix, layout.text_tokens
    turns = model.turns[layout.codes : layout.codes + tokens].repeat(layout.texts, 1, 1)
    window = cache.at(rows, slice(begin, begin + x.shape[1]), bias.shape[-1])
    hidden = model.hidden(x, turns, window=window, bias=bias)
    values = cache.values[:, rows]
    for text in range(layout.texts):
        start = begin + text * tokens
        mean = values[:, :, :, start : start + tokens].float().mean(dim=3, keepdim=True)
        place = layout.codes + text * TEXT_PLACES
        values[:, :, :, place : place + TEXT_PLACES] = mean
    return model.logits(hidden[:, tokens - 1 :: tokens])
