"""Frozen configuration shared by every command."""

from dataclasses import dataclass

from editar_cli.errors import UsageError

MAX_PIXELS = 200_000_000
"""A picture may have this many pixels by default: more than any camera makes."""


def _require(ok: bool, flag: str, value: object, allowed: str) -> None:
    if not ok:
        raise UsageError(f"{flag} {value}: must be {allowed}")


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How output codes are drawn. The defaults are the published ones.

    Args:
        guidance: text guidance scale; 1 runs the conditional branch alone.
        temperature: divides the logits; 0 takes the most likely code.
        top_k: keep the k most likely codes; 0 keeps all.
        top_p: keep the smallest set of codes whose probability reaches p, in (0, 1].
        image_guidance: scale of a third branch that sees neither image nor text; ``None`` runs
            without it.
        guidance_interval: guide the first code and the n + 1 codes after it, then go on
            conditionally; ``None`` guides all.

    Raises:
        UsageError: a value is out of range.
    """

    guidance: float = 3.0
    temperature: float = 1.0
    top_k: int = 1000
    top_p: float = 1.0
    guidance_interval: int | None = None
    image_guidance: float | None = None

    def __post_init__(self) -> None:
        _require(0.0 <= self.guidance <= 100.0, "--guidance", self.guidance, "between 0 and 100")
        _require(
            0.0 <= self.temperature <= 100.0, "--temperature", self.temperature, "between 0 and 100"
        )
        _require(self.top_k >= 0, "--top-k", self.top_k, "0 (off) or more")
        _require(0.0 < self.top_p <= 1.0, "--top-p", self.top_p, "above 0 and at most 1")
        _require(
            self.image_guidance is None or 0.0 <= self.image_guidance <= 100.0,
            "--image-guidance",
            self.image_guidance,
            "between 0 and 100",
        )
        _require(
            self.guidance_interval is None or self.guidance_interval >= 0,
            "--guidance-interval",
            self.guidance_interval,
            "0 or more",
        )
