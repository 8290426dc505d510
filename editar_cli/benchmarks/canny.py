"""``bench canny``: pictures from edges, MultiGen-20M's validation set.

Edges of photograph and output are Kornia's with thresholds 0.1 and 0.2. Where the edges themselves
are at hand, they are compared with the output's.
"""

from dataclasses import replace

from editar_cli.benchmarks.hub_data import MULTIGEN, MapCase
from editar_cli.benchmarks.maps import FID, MapBenchmark, map_square, square
from editar_cli.benchmarks.networks import Networks
from editar_cli.benchmarks.published import FID as PUBLISHED
from editar_cli.benchmarks.results import Column
from editar_cli.benchmarks.statistics import Mean
from editar_cli.errors import ModelError
from editar_cli.metrics.edges import compare_edges
from editar_cli.modes._mode import Extract, ExtractorSettings, Picture
from editar_cli.modes.canny import load_kornia

COLUMNS = (
    Column(name="f1", title="F1", better="higher", digits=4),
    Column(name="ssim", title="SSIM", better="higher", digits=4),
    Column(name="ms_ssim", title="MS-SSIM", better="higher", digits=4),
    FID,
)


class CannyJudge:
    """Edges of outputs beside those of photographs."""

    def __init__(self, networks: Networks) -> None:
        self._edges: Extract | None = None
        self._of: tuple[MapCase, Picture] | None = None
        try:
            self._edges = load_kornia(ExtractorSettings(device=networks.device))
        except ModelError as error:
            networks.missing["kornia"] = str(error)

    def figures(self, case: MapCase, output: Picture) -> dict[str, float | None]:
        """As ``Judge.figures``."""
        if self._edges is None:
            return {"f1": None, "ssim": None, "ms_ssim": None}
        if self._of is None or self._of[0] is not case:
            given = case.map
            edges = self._edges(square(case.photo)) if given is None else map_square(given, "lines")
            self._of = case, edges
        found = compare_edges(self._of[1][..., 0], self._edges(output)[..., 0])
        return {"f1": found.f1, "ssim": found.ssim, "ms_ssim": found.ms_ssim}

    def whole(self) -> dict[str, Mean]:
        """None."""
        return {}


BENCHMARK = MapBenchmark(
    mode="canny",
    title="Canny edges, MultiGen-20M",
    data=replace(MULTIGEN, map=None),
    columns=COLUMNS,
    networks=("inception",),
    judge=CannyJudge,
    published=PUBLISHED["canny"],
    extractor="kornia",
)
