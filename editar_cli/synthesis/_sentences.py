"""Sentences that several families of local edits share."""

from __future__ import annotations

RECOLOURING = (
    "make the {thing} {colour}",
    "{colour} {noun}",
    "turn the {thing} {colour}",
    "paint the {thing} {colour}",
    "change the colour of the {thing} to {colour}",
    "change the color of the {thing} to {colour}",
    "colour the {thing} {colour}",
    "color the {thing} {colour}",
    "recolour the {thing} in {colour}",
    "the {thing} should be {colour}",
    "I want the {thing} to be {colour}",
    "could the {thing} be {colour}?",
    "please make the {thing} {colour}",
    "the {thing} in {colour}",
    "dye the {thing} {colour}",
    "let me see the {thing} in {colour}",
    "have the {thing} painted {colour}",
    "mkae the {thing} {colour}",
    "change the {thing} to {colour}",
    "make only the {thing} {colour}",
)
HELD_OUT_RECOLOURING = (
    "please paint the {thing} {colour}",
    "I'd like the {thing} in {colour}",
    "recolor the {thing} to {colour}",
    "the {thing}'s colour should be {colour}",
    "could you make the {thing} {colour}?",
)
RECOLOURING_FIELDS = frozenset({"thing", "noun", "colour"})
"""What gets another colour, with more words and with none beside its name, and which colour."""
