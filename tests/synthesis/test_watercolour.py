from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, field, light, mountain


def test_paint_is_light_and_the_border_is_paper() -> None:
    for photo in (mountain(256), field(256), city(256)):
        edited = make_pair(photo, "watercolour", seed=1).edited
        assert light(edited).mean() > light(photo).mean() + 15
        border = [edited[:3], edited[-3:], edited[:, :3], edited[:, -3:]]
        assert min(float(strip.mean()) for strip in border) > 235


def test_colour_stays() -> None:
    ground = make_pair(field(256), "watercolour", seed=1).edited[140:230, 40:-40]
    assert ground[..., 1].mean() > ground[..., 2].mean() + 25
