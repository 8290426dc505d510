"""Air that can be seen: the farther, the more of it, after Koschmieder's law of visibility."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._pixels import Array


def veiled(picture: Array, density: float, air: Array) -> Array:
    """The picture seen through air of a density per distance to the horizon, HWC in [0, 1].

    Args:
        picture: HWC in [0, 1].
        density: 2.5 leaves little of what is far, 1 is a hazy day.
        air: the colour of the air, broadcast over HWC.
    """
    sky = px.sky_weight(picture)
    start = px.horizon(sky)
    # On level ground the distance grows towards the horizon, which each column has its own of.
    skyline = px.blur(np.repeat(sky.mean(axis=0, keepdims=True), 8, axis=0), 0.6)[:1]
    start_here = np.clip(0.5 * skyline + 0.5 * start, 0.05, 0.85)
    near = np.clip((px.rows(picture) - start_here) / (1.02 - start_here), 0, 1)
    distance = np.maximum(1 - near**0.8, sky)
    clear = np.exp(-np.float32(density) * (0.15 + 0.85 * distance))
    hazy = px.mix(picture, px.blur(picture, 0.012), np.minimum(1, 0.3 * density) * distance)
    hazy = px.saturate(hazy, 0.7)
    return px.mix(np.broadcast_to(air, picture.shape), hazy, clear)
