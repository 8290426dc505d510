from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, field, light, mountain


def test_vivid_adds_colour_and_muted_takes_it_at_nearly_the_same_light() -> None:
    for photo in (mountain(128), field(128)):
        vivid = make_pair(photo, "vivid", seed=1).edited
        muted = make_pair(photo, "muted", seed=1).edited
        assert chroma(vivid).mean() > 1.3 * chroma(photo).mean()
        assert chroma(muted).mean() < 0.4 * chroma(photo).mean()
        assert abs(light(vivid).mean() - light(photo).mean()) < 16
        assert abs(light(muted).mean() - light(photo).mean()) < 12
