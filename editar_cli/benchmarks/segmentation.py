"""``bench segmentation``: pictures from maps of regions, COCO-Stuff's validation set.

Mean intersection over union between the data set's classes and those that a COCO-Stuff segmenter
sees in the output. Where a data set has colours and no class numbers, classes of one colour are
taken together.
"""

import numpy as np
from numpy.typing import NDArray

from editar_cli.benchmarks.hub_data import COCO_STUFF, MapCase
from editar_cli.benchmarks.maps import FID, MapBenchmark, label_square, map_square
from editar_cli.benchmarks.networks import Networks
from editar_cli.benchmarks.published import FID as PUBLISHED
from editar_cli.benchmarks.results import Column
from editar_cli.benchmarks.statistics import Mean, bootstrap_statistic
from editar_cli.metrics.classes import ClassCounts, count_classes, mean_iou
from editar_cli.modes._mode import Picture
from editar_cli.modes.segmentation import IGNORE, coco_colours

MIOU = Column(name="miou", title="mIoU", better="higher", of_set=True, digits=4)
OF_PICTURE = Column(name="miou_picture", title="mIoU by picture", better="higher", digits=4)


class SegmentationJudge:
    """Classes of outputs beside those that were given."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._counts: list[ClassCounts] = []

    def figures(self, case: MapCase, output: Picture) -> dict[str, float | None]:
        """As ``Judge.figures``."""
        segmenter = self._networks.segmenter
        if segmenter is None:
            return {OF_PICTURE.name: None}
        made = segmenter(output)
        if case.labels is not None:
            given = label_square(case.labels)
        else:
            assert case.map is not None
            same = first_of_colour()
            given = labels_of_colours(map_square(case.map, "flat"))
            made = np.where(made < len(same), same[np.minimum(made, len(same) - 1)], made)
        counts = count_classes(given, made, len(coco_colours()), IGNORE)
        self._counts.append(counts)
        value = float(mean_iou(counts.both, counts.either))
        return {OF_PICTURE.name: None if np.isnan(value) else value}

    def whole(self) -> dict[str, Mean]:
        """mIoU over all outputs."""
        if not self._counts:
            return {MIOU.name: Mean(mean=None, low=None, high=None, count=0, missing=0)}
        both = np.stack([counts.both for counts in self._counts])
        either = np.stack([counts.either for counts in self._counts])
        return {
            MIOU.name: bootstrap_statistic(
                len(both), lambda drawn: mean_iou(drawn @ both, drawn @ either)
            )
        }


def first_of_colour() -> NDArray[np.uint8]:
    """(171,) for each class the first that has its colour."""
    _, first, inverse = np.unique(coco_colours(), axis=0, return_index=True, return_inverse=True)
    return first[inverse.ravel()].astype(np.uint8)


def labels_of_colours(pixels: Picture) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 in COCO-Stuff's colours -> (H, W) the first class of each, 255 for others."""
    codes = pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    palette = coco_colours().astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    colours, first = np.unique(palette, return_index=True)
    place = np.minimum(np.searchsorted(colours, codes), len(colours) - 1)
    return np.where(colours[place] == codes, first[place], IGNORE).astype(np.uint8)


BENCHMARK = MapBenchmark(
    mode="segmentation",
    title="Segmentation, COCO-Stuff",
    data=COCO_STUFF,
    columns=(MIOU, OF_PICTURE, FID),
    networks=("segmenter", "inception"),
    judge=SegmentationJudge,
    published=PUBLISHED["segmentation"],
)
