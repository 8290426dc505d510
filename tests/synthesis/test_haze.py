from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._haze import veiled
from tests.synthesis.painted_photos import field


def test_the_denser_the_air_the_less_is_seen_through_it() -> None:
    picture = px.to_unit(field(128))
    air = px.colour(0.8, 0.8, 0.8)
    spreads = [float(veiled(picture, density, air)[70:].std()) for density in (0.0, 1.0, 2.5)]
    assert spreads[0] > 1.15 * spreads[1] > 1.2 * spreads[2]
    assert np.abs(veiled(picture, 2.5, air)[:30] - 0.8).max() < 0.06


def test_air_of_no_density_only_takes_colour() -> None:
    picture = px.to_unit(field(64))
    seen = veiled(picture, 0.0, px.colour(1, 0, 0))
    assert np.abs(px.luminance(seen) - px.luminance(picture)).max() < 1e-3
