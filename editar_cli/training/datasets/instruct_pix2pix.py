"""InstructPix2Pix (arXiv 2211.09800), in the columns of its published sets and their likes.

``timbrooks/instructpix2pix-clip-filtered`` calls the source ``original_image``, the sets made after
it for diffusers' training script call it ``input_image``.
"""

from editar_cli.training.datasets._schema import RawPair, Row, Schema, encoded, words


def _pair(row: Row, draw: float) -> RawPair:
    return RawPair(
        source=encoded(row, "original_image", "input_image"),
        target=encoded(row, "edited_image"),
        instruction=words(row, "edit_prompt"),
    )


SCHEMA = Schema(
    name="instruct-pix2pix",
    repository="timbrooks/instructpix2pix-clip-filtered",
    columns=("original_image|input_image", "edited_image", "edit_prompt"),
    pair=_pair,
)
