"""PIPE (Paint by Inpaint, arXiv 2404.18212): objects added, or, read backwards, removed."""

from editar_cli.training.datasets._schema import RawPair, Row, Schema, encoded, words

INSTRUCTION = "Instruction_VLM-LLM"
ADD = "Add "


def _pair(row: Row, draw: float) -> RawPair:
    """Half of the draws read the row backwards: "Add a dog" becomes "Remove a dog"."""
    without, with_object = encoded(row, "source_img"), encoded(row, "target_img")
    instruction = words(row, INSTRUCTION)
    if draw < 0.5:
        return RawPair(source=without, target=with_object, instruction=instruction)
    # The first four letters go whatever they are, as in training of the published weights.
    return RawPair(
        source=with_object, target=without, instruction="Remove " + instruction[len(ADD) :]
    )


SCHEMA = Schema(
    name="pipe",
    repository="paint-by-inpaint/PIPE",
    columns=("source_img", "target_img", INSTRUCTION),
    pair=_pair,
)
