"""MagicBrush (arXiv 2306.10012): edits made by hand. Its masks are not used."""

from editar_cli.training.datasets._schema import RawPair, Row, Schema, encoded, words


def _pair(row: Row, draw: float) -> RawPair:
    return RawPair(
        source=encoded(row, "source_img"),
        target=encoded(row, "target_img"),
        instruction=words(row, "instruction"),
    )


SCHEMA = Schema(
    name="magic-brush",
    repository="osunlp/MagicBrush",
    columns=("source_img", "target_img", "instruction"),
    pair=_pair,
)
