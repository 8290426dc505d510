"""From logits to codes: guidance, filtering and counter-based noise."""

import torch
from torch import Tensor

from editar_cli.config import SamplingConfig

_MASK32 = 0xFFFFFFFF


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (arXiv 2207.12598) on (..., V) logits."""
    return unconditional + scale * (conditional - unconditional)


def guide_image(
    conditional: Tensor, unconditional: Tensor, nothing: Tensor, scale: float, image_scale: float
) -> Tensor:
    """Two guidance scales on (..., V) logits (InstructPix2Pix, arXiv 2211.09800, equation 3).

    Args:
        conditional: image and text.
        unconditional: image alone.
        nothing: neither.
        scale, image_scale: of the text and of the image.
    """
    return nothing + image_scale * (unconditional - nothing) + scale * (conditional - unconditional)


def filter_logits(logits: Tensor, *, temperature: float, top_k: int, top_p: float) -> Tensor:
    """Temperature, then top-k, then top-p on the renormalised rest; dropped codes get -inf.

    Args:
        logits: (..., V) float.
        temperature: above 0.
        top_k: clamped to V; 0 keeps all. Codes that tie with the k-th stay.
        top_p: in (0, 1]; the code that crosses p stays.
    """
    logits = logits.float() / temperature
    if 0 < top_k < logits.shape[-1]:
        threshold = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < threshold, -torch.inf)
    if top_p < 1.0:
        ordered, order = logits.sort(dim=-1, descending=True, stable=True)
        before = ordered.softmax(dim=-1).cumsum(dim=-1).roll(1, dims=-1)
        before[..., 0] = 0.0  # the most likely code always stays
        drop = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before > top_p)
        logits = logits.masked_fill(drop, -torch.inf)
    return logits


def gumbel_noise(seeds: Tensor, positions: Tensor | int, codes: Tensor | int) -> Tensor:
    """Gumbel noise that is a function of (seed, position, code) only.

    Nothing is drawn from a stateful generator, so a picture's codes depend on its seed and not on
    batch size, order, device or what ran before. The counters go through the 32-bit finaliser of
    MurmurHash3 (public domain), in integer arithmetic that is equal on every device.

    Args:
        seeds: (...) int64.
        positions: index of the output code, of a shape that broadcasts with ``seeds``.
        codes: (..., K) int64 codes in [0, V), or V for all of them.

    Returns:
        (..., K) float32.
    """
    if isinstance(codes, int):
        codes = torch.arange(codes, device=seeds.device, dtype=torch.int64)
    low, high = seeds & _MASK32, (seeds >> 32) & _MASK32
    key = _mix(_mix(low) ^ high ^ ((positions * 0x9E3779B9) & _MASK32))
    bits = _mix(_mix(key)[..., None] ^ ((codes * 0x85EBCA6B) & _MASK32))
    # 24 bits fit a float32 exactly; the half keeps both logarithms finite.
    uniform = ((bits >> 8).float() + 0.5) * 2.0**-24
    return -(-uniform.log()).log()


def sample(
    logits: Tensor, seeds: Tensor, positions: Tensor | int, config: SamplingConfig
) -> Tensor:
    """(..., V) logits -> (...) int64 codes by the Gumbel-max rule; temperature 0 is greedy.

    Args:
        logits: after guidance.
        seeds: int64, one per picture, of a shape that broadcasts with the codes'.
        positions: index of the output code, [0, S), of a shape that broadcasts too.
        config: temperature, top-k and top-p.
    """
    if config.temperature == 0.0 or config.top_k == 1:
        return logits.argmax(dim=-1)
    if logits.device.type == "cpu" and config.top_p == 1.0 and 0 < config.top_k < logits.shape[-1]:
        codes = _sample_top_k(logits, seeds, positions, config)
        if codes is not None:
            return codes
    kept = filter_logits(
        logits, temperature=config.temperature, top_k=config.top_k, top_p=config.top_p
    )
    return (kept + gumbel_noise(seeds, positions, logits.shape[-1])).argmax(dim=-1)


def _sample_top_k(
    logits: Tensor, seeds: Tensor, positions: Tensor | int, config: SamplingConfig
) -> Tensor | None:
    """The same codes with noise for k of the V codes only; ``None`` where the k-th is tied.

    Most of the time of drawing a code on a CPU is noise: 0.12 against 0.5 ms for two rows of 4096.
    """
    logits = logits.float() / config.temperature
    values, codes = logits.topk(config.top_k, dim=-1)
    if int((logits >= values[..., -1:]).sum()) > values.numel():
        return None
    noisy = values + gumbel_noise(seeds, positions, codes)
    # Of equal sums the lowest code wins, as with argmax over all.
    best = noisy.amax(dim=-1, keepdim=True)
    return codes.masked_fill(noisy < best, logits.shape[-1]).amin(dim=-1)


def _mix(x: Tensor) -> Tensor:
    """MurmurHash3's 32-bit finaliser on int64 tensors that hold 32-bit values."""
    x = x ^ (x >> 16)
    x = (x * 0x85EBCA6B) & _MASK32
    x = x ^ (x >> 13)
    x = (x * 0xC2B2AE35) & _MASK32
    return x ^ (x >> 16)
