"""Losses of both stages."""

import torch
import torch.nn.functional as F
from torch import Tensor


def code_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean negative log-likelihood of target codes.

    Args:
        logits: (B, S, V) float.
        targets: (B, S) int64 in [0, V).
        weights: (B, S) float weight per code; the mean is weighted.
    """
    loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    if weights is None:
        return loss.mean()
    flat = weights.flatten()
    return (loss * flat).sum() / flat.sum()


def pixel_loss(output: Tensor, target: Tensor, *, gradient: float, colour: float) -> Tensor:
    """Reconstruction loss of the tokenizer.

    L1 of pixels, plus ``gradient`` times the L1 of horizontal and vertical differences (texture
    and edges without asking for their exact place), plus ``colour`` times the L1 of chroma
    averaged over 4 x 4 px and of light averaged over 8 x 8 px: what a viewer sees first, and what
    a plain L1 neglects where pictures are mostly grey.

    Args:
        output, target: (B, 3, H, W) float in [-1, 1].
        gradient, colour: weights of the further terms.
    """
    difference = output - target
    loss = difference.abs().mean()
    loss = loss + gradient * (
        (difference[..., 1:] - difference[..., :-1]).abs().mean()
        + (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    )
    opponent = torch.einsum("oc,bchw->bohw", OPPONENT.to(difference), difference)
    light = F.avg_pool2d(opponent[:, :1], 8).abs().mean()
    chroma = F.avg_pool2d(opponent[:, 1:], 4).abs().mean()
    return loss + colour * (light + 2.0 * chroma)


# Light, red-green and blue-yellow, each of the size of one channel's difference.
OPPONENT = torch.tensor([[0.299, 0.587, 0.114], [0.7, -0.7, 0.0], [-0.4, -0.4, 0.8]])
