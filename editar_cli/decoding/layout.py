"""Where the branches of one picture lie in its cache row, and what each sees.

Guidance runs up to three branches over the same output codes: *conditional* (image and text),
*textless* (image and null text) and *nothing* (null image and null text). Text comes after the
image and attention is causal, so the first two share the image's keys and values::

    [S image | T text | T null text | S null image, T null text | c0 t0 n0  c1 t1 n1 ... | c ... |]

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
        return self.codes + 2 * self.text_tokens

    @property
    def prefix(self) -> int:
        """Positions before the output codes."""
        texts = self.text_tokens * min(self.branches, 2)
        nothing = self.codes + self.text_tokens if self.branches == 3 else 0
        return self.codes + texts + nothing

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
        return self.visible(self.spare + 1)

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
        """(S, branches, length): 0 where output code i of a branch may look, else -inf."""
        s, t = self.codes, self.text_tokens
        seen = torch.zeros(s, self.branches, self.length, dtype=torch.bool)
        seen[:, :TEXTLESS, : s + t] = True
        if self.branches > TEXTLESS:
            seen[:, TEXTLESS, :s] = True
            seen[:, TEXTLESS, s + t : s + 2 * t] = True
        if self.branches > NOTHING:
            seen[:, NOTHING, self.nothing : self.prefix] = True
        places = self.places(torch.device("cpu"))
        before = torch.ones(s, s, dtype=torch.bool).tril()
        for branch in range(self.branches):
            row, code = before.nonzero(as_tuple=True)
            seen[row, branch, places[code, branch]] = True
        # A query that is never fed may look anywhere but must look somewhere.
        seen[:, :, self.spare] = False
        bias = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, -torch.inf)
        return bias.to(device)

    def text_bias(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """(1, 1, N, K): for the texts behind the image: all of it, then causally their own text.

        Null text sees itself and never the given text.
        """
        s, t, texts = self.codes, self.text_tokens, min(self.branches, 2)
        seen = torch.zeros(texts * t, self.visible(s + texts * t), dtype=torch.bool)
        seen[:, :s] = True
        causal = torch.ones(t, t, dtype=torch.bool).tril()
        seen[:, s : s + texts * t] = torch.kron(torch.eye(texts, dtype=torch.bool), causal)
        bias = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, -torch.inf)
        return bias[None, None].to(device)


def guided_codes(sampling: SamplingConfig, codes: int) -> int:
    """How many of the first codes are drawn from all branches."""
    if sampling.guidance == 1.0 and sampling.image_guidance is None:
        return 0
    if sampling.guidance_interval is None:
        return codes
    return min(codes, sampling.guidance_interval + 2)
