"""Each published schema: which pictures and words of a row make the pair."""

import pytest

from editar_cli.modes import canny, depth, segmentation
from editar_cli.training.datasets import SCHEMAS
from editar_cli.training.datasets._schema import BadRowError, RawPair
from tests.training.pair_files import picture, published_rows


def pair_of(kind: str, draw: float = 0.0, **changes: object) -> RawPair:
    row = published_rows(kind, 4)[3]
    return SCHEMAS[kind].pair({**row, **changes}, draw)


@pytest.mark.parametrize(
    ("kind", "instruction"),
    [
        ("seed-data-edit", "edit 3"),
        ("pipe", "Add thing 3"),
        ("multigen-depth", depth.PROMPT + "scene 3"),
        ("coco-stuff", segmentation.PROMPT + "long 3"),
        ("instruct-pix2pix", "edit 3"),
        ("magic-brush", "edit 3"),
    ],
)
def test_source_target_and_instruction_are_those_of_the_row(kind: str, instruction: str):
    assert pair_of(kind) == RawPair(source=picture(6), target=picture(7), instruction=instruction)


def test_pipe_is_read_forward_half_of_the_time_and_backward_the_other():
    forward, backward = pair_of("pipe", 0.499), pair_of("pipe", 0.5)
    assert (forward.source, forward.target) == (backward.target, backward.source)
    assert forward.instruction == "Add thing 3"
    assert backward.instruction == "Remove thing 3"


def test_pipe_cuts_four_letters_whatever_they_are():
    odd = {"Instruction_VLM-LLM": "Put a hat on"}
    assert pair_of("pipe", 0.9, **odd).instruction == "Remove a hat on"


def test_the_source_of_canny_is_drawn_later():
    pair = pair_of("multigen-canny")
    assert (pair.source, pair.target) == (b"", picture(7))
    assert pair.instruction == canny.PROMPT + "scene 3"
    assert SCHEMAS["multigen-canny"].source_map == "canny"


def test_coco_stuff_falls_back_to_the_short_caption():
    short = segmentation.PROMPT + "short 3"
    assert pair_of("coco-stuff", detailed_prompt=None).instruction == short
    assert pair_of("coco-stuff", detailed_prompt=" ").instruction == short


def test_instruct_pix2pix_may_call_its_source_an_input():
    row = published_rows("instruct-pix2pix", 1)[0]
    row["input_image"] = row.pop("original_image")
    assert SCHEMAS["instruct-pix2pix"].pair(row, 0.0).source == picture(0)


@pytest.mark.parametrize("kind", [name for name, s in SCHEMAS.items() if s.repository])
def test_a_row_without_words_or_pictures_is_bad(kind: str):
    row = published_rows(kind, 1)[0]
    for column, value in row.items():
        if not any(column in need.split("|") for need in SCHEMAS[kind].columns):
            continue
        if column in ("prompt", "detailed_prompt"):
            continue
        empty: object = "" if isinstance(value, str) else None
        with pytest.raises(BadRowError):
            SCHEMAS[kind].pair({**row, column: empty}, 0.0)
