from __future__ import annotations

import dataclasses

import pytest

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._change import described, distinct, with_article
from editar_cli.synthesis._paste import Spot, lay
from editar_cli.synthesis.local import LOCAL_EFFECTS
from tests.synthesis.painted_cutouts import cutout
from tests.synthesis.painted_photos import field


@pytest.mark.parametrize(
    ("noun", "said"),
    [
        ("dog", "a dog"),
        ("apple", "an apple"),
        ("hourglass", "an hourglass"),
        ("unicorn", "a unicorn"),
        ("umbrella", "an umbrella"),
        ("American football", "an American football"),
    ],
)
def test_articles(noun: str, said: str) -> None:
    assert with_article(noun) == said


def test_articles_before_adjectives_and_plurals() -> None:
    assert with_article("apple", adjective="green") == "a green apple"
    assert with_article("dog", adjective="orange") == "an orange dog"
    assert with_article("grapes", plural=True, adjective="red") == "some red grapes"


def test_things_that_share_a_word_are_not_distinct() -> None:
    assert distinct(cutout("dog"), [cutout("cat"), cutout("key")])
    assert not distinct(cutout("running shoe"), [cutout("cat"), cutout("shoe")])
    assert distinct(cutout("cup of tea"), [cutout("loaf of bread")])


def test_a_description_is_true_of_one_thing_only() -> None:
    photo = px.to_unit(field(64))
    thing = cutout("ball")
    left, middle, right = (lay(photo, thing, Spot(x, 0.9, 0.2)) for x in (0.15, 0.5, 0.85))
    assert described(thing, left, [], 0.5) == "ball"
    assert described(thing, left, [], 0.05) == "red ball"
    assert described(thing, left, [right], 0.9) == "ball on the left"
    assert described(thing, right, [left], 0.9) == "ball on the right"
    assert described(thing, left, [left], 0.9) == "ball"
    assert described(thing, middle, [], 0.9) == "ball"


def test_an_effect_checks_itself() -> None:
    effect = LOCAL_EFFECTS["removal"]
    for wrong, said in (
        ({"kind": "magic"}, "kind"),
        ({"instructions": effect.instructions[:3]}, "fewer than 14"),
        ({"held_out_instructions": ()}, "held-out"),
        ({"fields": frozenset({"other"})}, "fields"),
        ({"held_out_instructions": ("remove it",) * 4}, "fields"),
    ):
        with pytest.raises(ValueError, match=said):
            dataclasses.replace(effect, **wrong)
