"""MultiGen-20M (UniControl, arXiv 2305.11147): captioned pictures with depth maps.

Two schemas read the same rows: one takes the depth map as the source, the other has the edges of
the picture drawn when it is prepared.
"""

from editar_cli.modes import canny, depth
from editar_cli.training.datasets._schema import RawPair, Row, Schema, encoded, words


def _depth(row: Row, draw: float) -> RawPair:
    return RawPair(
        source=encoded(row, "control_depth"),
        target=encoded(row, "image"),
        instruction=depth.PROMPT + words(row, "text"),
    )


def _canny(row: Row, draw: float) -> RawPair:
    return RawPair(
        source=b"",
        target=encoded(row, "image"),
        instruction=canny.PROMPT + words(row, "text"),
    )


REPOSITORY = "limingcv/MultiGen-20M_depth"

DEPTH = Schema(
    name="multigen-depth",
    repository=REPOSITORY,
    columns=("image", "control_depth", "text"),
    pair=_depth,
)
CANNY = Schema(
    name="multigen-canny",
    repository=REPOSITORY,
    columns=("image", "text"),
    pair=_canny,
    source_map="canny",
)
