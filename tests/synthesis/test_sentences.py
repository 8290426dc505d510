from __future__ import annotations

from string import Formatter

from editar_cli.synthesis._sentences import (
    HELD_OUT_RECOLOURING,
    RECOLOURING,
    RECOLOURING_FIELDS,
)


def test_every_sentence_names_a_thing_and_a_colour() -> None:
    for template in RECOLOURING + HELD_OUT_RECOLOURING:
        fields = {field for _, field, _, _ in Formatter().parse(template) if field}
        assert "colour" in fields and fields & {"thing", "noun"} and fields <= RECOLOURING_FIELDS


def test_sentences_kept_out_are_others() -> None:
    assert not set(RECOLOURING) & set(HELD_OUT_RECOLOURING)
