import time
from itertools import permutations

import numpy as np
import pytest

from editar_cli.modes._agreement import (
    _assignment,
    depth_agreement,
    edge_agreement,
    region_agreement,
    soft_edge_agreement,
)


def line(column: int, size: int = 40) -> np.ndarray:
    picture = np.zeros((size, size, 3), np.uint8)
    picture[:, column] = 255
    return picture


def stripes(colours: list[tuple[int, int, int]], edges: list[int]) -> np.ndarray:
    """Columns of flat colours, 60 wide in all; ``edges`` are where one ends and the next starts."""
    picture = np.zeros((30, 60, 3), np.uint8)
    for colour, start, end in zip(colours, [0, *edges], [*edges, 60], strict=True):
        picture[:, start:end] = colour
    return picture


def ramp(low: int = 0, high: int = 255) -> np.ndarray:
    row = np.linspace(low, high, 50).round().astype(np.uint8)
    return np.repeat(np.tile(row, (50, 1))[..., None], 3, axis=2)


BLACK = np.zeros((40, 40, 3), np.uint8)
RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def test_equal_edges_agree_fully():
    assert edge_agreement(line(10), line(10)) == {"f1_near": 1.0, "f1": 1.0}


def test_an_edge_one_pixel_aside_is_forgiven_by_f1_near_only():
    assert edge_agreement(line(10), line(11)) == {"f1_near": 1.0, "f1": 0.0}


def test_an_edge_two_pixels_aside_is_not_forgiven():
    assert edge_agreement(line(10), line(12)) == {"f1_near": 0.0, "f1": 0.0}


def test_f1_is_between_precision_and_recall():
    both = np.maximum(line(10), line(30))
    # half of the made edges are given ones, and all given ones were made
    assert edge_agreement(line(10), both)["f1"] == pytest.approx(2 / 3)
    assert edge_agreement(both, line(10))["f1_near"] == pytest.approx(2 / 3)


def test_two_maps_without_edges_agree_and_one_does_not():
    assert edge_agreement(BLACK, BLACK) == {"f1_near": 1.0, "f1": 1.0}
    assert edge_agreement(BLACK, line(3)) == {"f1_near": 0.0, "f1": 0.0}
    assert edge_agreement(line(3), BLACK) == {"f1_near": 0.0, "f1": 0.0}


def test_equal_soft_edges_correlate_and_opposite_ones_do_the_other_way():
    assert soft_edge_agreement(line(10), line(10)) == {"correlation": 1.0, "rmse": 0.0}
    assert soft_edge_agreement(ramp(), 255 - ramp())["correlation"] == pytest.approx(-1, abs=1e-3)


def test_a_soft_edge_one_pixel_aside_correlates_more_than_one_far_away():
    near = soft_edge_agreement(line(10), line(11))["correlation"]
    far = soft_edge_agreement(line(10), line(30))["correlation"]
    assert near > 0.5 > far


def test_soft_edges_differ_by_their_root_mean_square():
    assert soft_edge_agreement(BLACK, BLACK + 7)["rmse"] == pytest.approx(7)


def test_a_constant_map_correlates_with_nothing_but_itself():
    assert soft_edge_agreement(BLACK, line(5))["correlation"] == 0.0
    assert soft_edge_agreement(BLACK, BLACK + 7)["correlation"] == 0.0
    assert soft_edge_agreement(BLACK, BLACK)["correlation"] == 1.0


def test_depth_is_compared_up_to_scale_and_shift():
    found = depth_agreement(ramp(0, 255), ramp(60, 180))
    # what is left is the rounding of the narrower map
    assert found["rmse"] < 1.5
    assert found["correlation"] == pytest.approx(1, abs=1e-3)


def test_inverted_depth_disagrees():
    found = depth_agreement(ramp(), 255 - ramp())
    assert found["correlation"] == pytest.approx(-1, abs=1e-3)
    assert found["rmse"] > 100


def test_constant_depth_gives_figures_and_no_warning():
    assert depth_agreement(BLACK, BLACK + 9) == {"rmse": 0.0, "correlation": 1.0}
    assert depth_agreement(BLACK[:30, :30], ramp()[:30, :30])["correlation"] == 0.0


def test_regions_agree_whatever_their_colours():
    given = stripes([RED, GREEN, BLUE], [20, 40])
    made = stripes([BLUE, (9, 9, 9), GREEN], [20, 40])
    assert region_agreement(given, made) == {"miou": 1.0, "boundary_f1": 1.0}


def test_miou_is_weighted_by_the_given_areas():
    given, made = stripes([RED, GREEN], [40]), stripes([RED, GREEN], [30])
    # 40 columns at 30/40 and 20 columns at 20/30
    expected = 40 / 60 * 30 / 40 + 20 / 60 * 20 / 30
    assert region_agreement(given, made)["miou"] == pytest.approx(expected)


def test_a_made_region_serves_one_given_region_only():
    given = stripes([RED, GREEN], [30])
    made = np.zeros_like(given)
    assert region_agreement(given, made) == {"miou": 0.25, "boundary_f1": 0.0}


def test_a_boundary_one_pixel_aside_is_forgiven():
    given = stripes([RED, GREEN], [30])
    assert region_agreement(given, stripes([RED, GREEN], [31]))["boundary_f1"] == 1.0
    assert region_agreement(given, stripes([RED, GREEN], [33]))["boundary_f1"] == 0.0


def test_the_assignment_has_the_largest_sum_there_is():
    random = np.random.default_rng(0)
    for rows, columns in [(1, 1), (3, 3), (4, 5), (5, 3), (2, 6)] * 4:
        gain = random.random((rows, columns)) * (random.random((rows, columns)) > 0.4)
        found = _assignment(gain)
        assert len(set(found[0].tolist())) == len(set(found[1].tolist())) == min(rows, columns)
        wide = gain if rows <= columns else gain.T
        best = max(
            sum(wide[row, column] for row, column in enumerate(order))
            for order in permutations(range(wide.shape[1]), wide.shape[0])
        )
        assert gain[found].sum() == pytest.approx(best)


def test_many_regions_are_compared_quickly_and_always_alike():
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (32, 3)).astype(np.uint8)
    maps = [
        colours[np.kron(random.integers(0, 32, (16, 16)), np.ones((16, 16), int))] for _ in range(2)
    ]
    first = region_agreement(*maps)
    took = []
    for _ in range(5):
        start = time.perf_counter()
        assert region_agreement(*maps) == first
        took.append(time.perf_counter() - start)
    # some 10 ms; a busy machine is given ten times that
    assert min(took) < 0.1


def test_a_map_with_more_colours_than_regions_still_gives_figures():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    found = region_agreement(noise, noise)
    assert found["miou"] == pytest.approx(1) and found["boundary_f1"] == 1.0


def test_maps_of_two_sizes_are_a_programming_mistake():
    for compare in (edge_agreement, soft_edge_agreement, depth_agreement, region_agreement):
        with pytest.raises(AssertionError, match="two sizes"):
            compare(BLACK, BLACK[:20])
