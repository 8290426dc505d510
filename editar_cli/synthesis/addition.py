"""Addition: a thing comes into the photograph, where the sentence says."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._change import Change, LocalEffect, distinct, with_article
from editar_cli.synthesis._effect import Photo
from editar_cli.synthesis._paint import other_colours, painted
from editar_cli.synthesis._paste import Spot, beside, lay, over
from editar_cli.synthesis.cutouts import Cutouts

_GROUND_PLACES = (
    ("", 0.5, 0.86),
    ("on the left", 0.2, 0.86),
    ("on the left side", 0.2, 0.86),
    ("on the right", 0.8, 0.86),
    ("on the right side", 0.8, 0.86),
    ("in the middle", 0.5, 0.66),
    ("in the centre", 0.5, 0.66),
    ("in the lower left corner", 0.14, 0.97),
    ("at the bottom left", 0.14, 0.97),
    ("in the lower right corner", 0.86, 0.97),
    ("at the bottom right", 0.86, 0.97),
    ("at the bottom", 0.5, 0.98),
)
_SKY_PLACES = (
    ("", 0.5, 0.42),
    ("in the sky", 0.5, 0.42),
    ("at the top", 0.5, 0.34),
    ("on the left", 0.2, 0.45),
    ("on the right", 0.8, 0.45),
    ("in the upper left corner", 0.15, 0.32),
    ("at the top left", 0.15, 0.32),
    ("in the upper right corner", 0.85, 0.32),
    ("at the top right", 0.85, 0.32),
)
"""(Words, x of the centre, lower edge), fractions of the picture.

Without words a thing has one usual place: a sentence must tell what is to be seen.
"""

_UNPLACED = 0.25
_SIZES = (("", 0.31, 0.37), ("small", 0.19, 0.23), ("big", 0.45, 0.52))
_SIZED = 0.2
_COLOURED = 0.2
_BYSTANDER = 0.25


def _apply(photo: Photo, cutouts: Cutouts, rng: np.random.Generator) -> Change:
    picture = px.to_unit(photo)
    cutout = cutouts.draw(rng)
    places = _SKY_PLACES if cutout.airborne else _GROUND_PLACES
    unplaced, place_draw, sized, coloured, shown = (float(rng.random()) for _ in range(5))
    place, x, base = (
        places[0] if unplaced < _UNPLACED else places[1 + int(place_draw * (len(places) - 1))]
    )
    size_word, least, most = _SIZES[1 + int(rng.random() * 2) if sized < _SIZED else 0]
    colour = ""
    if coloured < _COLOURED and (choices := other_colours(cutout)):
        colour = choices[int(rng.integers(len(choices)))]
        if colour in cutout.noun.split():
            colour = ""
        else:
            cutout = painted(cutout, colour)
    jitter_x, jitter_y, size = (float(rng.random()) for _ in range(3))
    spot = Spot(
        x + 0.05 * (jitter_x - 0.5), base + 0.05 * (jitter_y - 0.5), least + (most - least) * size
    )
    layer = lay(picture, cutout, spot)
    behind = []
    if shown < _BYSTANDER and distinct(cutout, [other := cutouts.show(rng)]):
        bystander = beside(picture, other, [layer], rng)
        behind = [] if bystander is None else [bystander]
    adjective = f"{size_word} {colour}".strip()
    source = over(picture, behind) if behind else photo
    return Change(
        source,
        over(picture, [*behind, layer]),
        layer.mask,
        {
            "a_thing": with_article(cutout.noun, plural=cutout.plural, adjective=adjective),
            "thing": f"{adjective} {cutout.noun}".strip(),
            "place": f" {place}" if place else "",
            "where": f" {place}" if place else " into the picture",
        },
    )


EFFECTS = (
    LocalEffect(
        name="addition",
        kind="object",
        fields=frozenset({"a_thing", "thing", "place", "where"}),
        instructions=(
            "add {a_thing}{place}",
            "add {thing}{place}",
            "{a_thing}{place}",
            "put {a_thing}{where}",
            "place {a_thing}{where}",
            "insert {a_thing}{place}",
            "draw {a_thing}{place}",
            "please add {a_thing}{place}",
            "there should be {a_thing}{place}",
            "I'd like to see {a_thing}{place}",
            "could you put {a_thing}{where}?",
            "let there be {a_thing}{place}",
            "show {a_thing}{place}",
            "paste {a_thing}{where}",
            "give me {a_thing}{place}",
            "can you add {a_thing}{place} please",
            "the same photo with {a_thing}{place}",
            "ad {a_thing}{place}",
        ),
        held_out_instructions=(
            "I want {a_thing}{place}",
            "please put {a_thing}{where}",
            "set {a_thing}{where}",
            "the picture needs {a_thing}{place}",
            "could there be {a_thing}{place}?",
        ),
        paste=_apply,
    ),
)
