"""Where the branches of one picture lie in its cache row, and what each sees.

Guidance runs up to three branches over the same output codes: *conditional* (image and text),
*textless* (image and null text) and *nothing* (null image and null text). Text comes after the
image and attention is causal, so the first two share the image's keys and values::

    [S image | text | null text | S null image, null text | c0 t0 n0  c1 t1 n1 ... | c ... |]

The published rotary table turns keys at text positions into zeros, so output codes look at all T of
them alike: what a text adds is the mean of its T values with T times the weight of one key of
zeros. That mean is all that is kept of a text (``TEXT_PLACES`` places, see ``text_weights``).

The output codes of the branches alternate while codes are guided, and the conditional branch goes
on alone after that. So the valid region is always one contiguous prefix, and a branch is a mask.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from editar_cli.config import SamplingConfig
from editar_cli.models.attention import CPU_KEYS
from editar_cli.models.gpt import GPTConfig

CONDITIONAL, TEXTLESS, NOTHING = range(3)
# Places that hold the mean of a text's values.
TEXT_PLACES = 2


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The places of one cache row.

    Args:
        codes: S.
        text_tokens: T.
        branches: 1 to 3, in the order conditional, textless, nothing.
        paired: output codes that are fed to all branches: those before a guided one.
    """

    codes: int
    text_tokens: int
    branches: int
    paired: int

    @classmethod
    def of(cls, model: GPTConfig, sampling: SamplingConfig) -> "Layout":
        """What these sampling settings need of a model."""
        guided = guided_codes(sampling, model.codes)
        branches = 1 if not guided else 2 if sampling.image_guidance is None else 3
        return cls(
            codes=model.codes,
            text_tokens=model.text_tokens,
            branches=branches,
            paired=max(0, guided - 1),
        )

    @property
    def nothing(self) -> int:
        """Where the prefix of the branch that sees nothing begins."""
        return self.codes + 2 * TEXT_PLACES

    @property
    def texts(self) -> int:
        """Texts behind the image: the given one, and null text."""
        return min(self.branches, 2)

    @property
    def prefix(self) -> int:
        """Positions before the output codes. While texts are read they stand here at full length,
        where output codes will come."""
        nothing = self.codes + TEXT_PLACES if self.branches > NOTHING else 0
        return self.codes + TEXT_PLACES * self.texts + nothing

    def end(self, fed: int) -> int:
        """Positions in use once the first ``fed`` output codes have been fed."""
        paired = min(fed, self.paired)
        return self.prefix + self.branches * paired + fed - paired

    @property
    def spare(self) -> int:
        """A place that no query sees, for positions that only fill up a batch."""
        # The last output code is never fed.
        return self.end(self.codes - 1)

    @property
    def length(self) -> int:
        """Positions of a row, a multiple of what attention likes."""
        return self.visible(max(self.spare + 1, self.prefix + self.texts * self.text_tokens))

    def visible(self, end: int) -> int:
        """How many positions to read so that the first ``end`` are among them."""
        return -(-end // CPU_KEYS) * CPU_KEYS

    def places(self, device: torch.device) -> Tensor:
        """(S, branches) int64: where output code i of each branch is kept; the spare place where
        it is not fed."""
        places = torch.full((self.codes, self.branches), self.spare, dtype=torch.int64)
        fed = torch.arange(self.codes - 1)
        paired = fed < self.paired
        for branch in range(self.branches):
            tail = self.prefix + self.branches * fed + branch
            places[:-1, branch][paired] = tail[paired]
        alone = self.end(self.paired) + fed - self.paired
        places[:-1, CONDITIONAL][~paired] = alone[~paired]
        return places.to(device)

    def bias(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """(S, branches, length): what is added to the scores of output code i of a branch: 0, or
        the logarithm of a text's weight, where it may look, else -inf."""
        s = self.codes
        bias = torch.full((s, self.branches, self.length), -torch.inf)
        weights = text_weights(self.text_tokens, dtype)
        for branch in range(self.branches):
            start = self.nothing if branch == NOTHING else 0
            bias[:, branch, start : start + s] = 0.0
            text = start + s + (TEXT_PLACES if branch == TEXTLESS else 0)
            bias[:, branch, text : text + TEXT_PLACES] = weights
        places = self.places(torch.device("cpu"))
        row, code = torch.ones(s, s, dtype=torch.bool).tril().nonzero(as_tuple=True)
        for branch in range(self.branches):
            bias[row, branch, places[code, branch]] = 0.0
        bias[:, :, self.spare] = -torch.inf
        return bias.to(device, dtype)

    def text_bias(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """(1, 1, N, K): for the texts at ``prefix``: all of the image, then causally their own.

        Null text sees itself and never the given text.
        """
        t, begin, end = self.text_tokens, self.prefix, self.prefix + self.texts * self.text_tokens
        seen = torch.zeros(end - begin, self.visible(end), dtype=torch.bool)
        seen[:, : self.codes] = True
        causal = torch.ones(t, t, dtype=torch.bool).tril()
        seen[:, begin:end] = torch.kron(torch.eye(self.texts, dtype=torch.bool), causal)
        bias = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, -torch.inf)
        return bias[None, None].to(device)


def text_weights(tokens: int, dtype: torch.dtype) -> Tensor:
    """(TEXT_PLACES,) float32: logarithms, exact in ``dtype``, of weights that add up to ``tokens``.

    One bfloat16 logarithm would be off by up to 0.8 %: the second place has what the first lacks.
    """
    first = torch.tensor(float(tokens)).log().to(dtype)
    if float(first.float().exp()) > tokens:
        first = torch.nextafter(first, torch.zeros_like(first))
    missing = max(0.0, tokens - float(first.float().exp()))
    second = torch.tensor(missing).log().to(dtype)
    return torch.stack([first, second]).float()


def guided_codes(sampling: SamplingConfig, codes: int) -> int:
    """How many of the first codes are drawn from all branches."""
    if sampling.guidance == 1.0 and sampling.image_guidance is None:
        return 0
    if sampling.guidance_interval is None:
        return codes
    return min(codes, sampling.guidance_interval + 2)
