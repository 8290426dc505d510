"""SEED-Data-Edit part 1, Unsplash (arXiv 2405.04007): photographs with automatic edits."""

from editar_cli.training.datasets._schema import RawPair, Row, Schema, encoded, words


def _pair(row: Row, draw: float) -> RawPair:
    return RawPair(
        source=encoded(row, "source_image"),
        target=encoded(row, "target_image"),
        instruction=words(row, "instruction"),
    )


SCHEMA = Schema(
    name="seed-data-edit",
    repository="AILab-CVC/SEED-Data-Edit-Part1-Unsplash",
    columns=("source_image", "target_image", "instruction"),
    pair=_pair,
)
