from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, light, means, mountain


def test_red_is_gone_and_it_is_lighter_above() -> None:
    for photo in (mountain(256), field(256)):
        edited = make_pair(photo, "underwater", seed=1).edited
        red, green, blue = means(edited)
        assert red < 0.5 * green < 0.6 * blue
        assert light(edited[:64]).mean() > 1.4 * light(edited[-64:]).mean()
