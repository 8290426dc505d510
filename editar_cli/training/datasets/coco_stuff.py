"""Captioned COCO-Stuff (ControlNet++, arXiv 2404.07987): pictures and colour-coded regions."""

from editar_cli.modes import segmentation
from editar_cli.training.datasets._schema import RawPair, Row, Schema, encoded, words


def _pair(row: Row, draw: float) -> RawPair:
    return RawPair(
        source=encoded(row, "control_seg"),
        target=encoded(row, "image"),
        instruction=segmentation.PROMPT + words(row, "detailed_prompt", "prompt"),
    )


SCHEMA = Schema(
    name="coco-stuff",
    repository="limingcv/Captioned_COCOStuff",
    columns=("image", "control_seg", "detailed_prompt|prompt"),
    pair=_pair,
)
