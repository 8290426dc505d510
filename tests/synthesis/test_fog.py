from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import edge_energy, field, light, mountain


def test_fog_hides_the_distance_more_than_the_foreground() -> None:
    photo = field(256)
    edited = make_pair(photo, "fog", seed=1).edited
    far, near = slice(124, 150), slice(226, 252)
    kept_far = light(edited[far]).std() / light(photo[far]).std()
    kept_near = light(edited[near]).std() / light(photo[near]).std()
    assert kept_far < 0.3
    assert kept_near > 2 * kept_far


def test_fog_is_pale_and_takes_the_contrast() -> None:
    photo = mountain(256)
    edited = make_pair(photo, "fog", seed=1).edited
    assert light(edited).mean() > light(photo).mean() + 30
    assert edge_energy(edited) < 0.5 * edge_energy(photo)
