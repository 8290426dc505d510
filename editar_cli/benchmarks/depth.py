"""``bench depth``: pictures from depth maps, MultiGen-20M's validation set.

RMSE on 0..255 between the given map and DPT-Large's of the output, both stretched by their own
minimum and maximum.
"""

from editar_cli.benchmarks.hub_data import MULTIGEN, MapCase
from editar_cli.benchmarks.maps import FID, MapBenchmark, square
from editar_cli.benchmarks.networks import Networks
from editar_cli.benchmarks.published import FID as PUBLISHED
from editar_cli.benchmarks.results import Column
from editar_cli.benchmarks.statistics import Mean
from editar_cli.modes._agreement import depth_agreement
from editar_cli.modes._mode import Picture


class DepthJudge:
    """Depth maps of outputs beside those that were given."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def figures(self, case: MapCase, output: Picture) -> dict[str, float | None]:
        """As ``Judge.figures``."""
        dpt = self._networks.dpt
        if dpt is None:
            return {"rmse": None}
        assert case.map is not None
        return {"rmse": depth_agreement(square(case.map), dpt(output))["rmse"]}

    def whole(self) -> dict[str, Mean]:
        """None."""
        return {}


BENCHMARK = MapBenchmark(
    mode="depth",
    title="Depth maps, MultiGen-20M",
    data=MULTIGEN,
    columns=(Column(name="rmse", title="RMSE", better="lower"), FID),
    networks=("dpt", "inception"),
    judge=DepthJudge,
    published=PUBLISHED["depth"],
)
