"""Mean intersection over union by hand, and against torchmetrics' confusion matrices."""

import numpy as np
import pytest
import torch

from editar_cli.metrics.classes import count_classes, mean_iou


def test_a_case_that_can_be_counted():
    given = np.array([[0, 0, 0, 0], [1, 1, 255, 255]], np.uint8)
    made = np.array([[0, 0, 0, 1], [1, 1, 1, 0]], np.uint8)
    counts = count_classes(given, made, 3)
    # Unknown pixels count nowhere: class 0 is 3 of 4, class 1 is 2 of 3, class 2 is in neither.
    assert counts.both.tolist() == [3, 2, 0] and counts.either.tolist() == [4, 3, 0]
    assert mean_iou(counts.both, counts.either) == pytest.approx((3 / 4 + 2 / 3) / 2)


def test_what_is_no_class_is_wrong_in_outputs_and_unknown_in_what_is_given():
    given = np.array([[0, 0, 7, 7]], np.uint8)
    made = np.array([[0, 255, 0, 0]], np.uint8)
    counts = count_classes(given, made, 2)
    assert counts.both.tolist() == [1, 0] and counts.either.tolist() == [2, 0]


def test_a_map_of_nothing_known_has_no_mean():
    counts = count_classes(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 3)
    assert np.isnan(mean_iou(counts.both, counts.either))


def test_over_many_pictures_it_is_torchmetrics_jaccard_index_over_classes_that_occur():
    from torchmetrics.classification import MulticlassJaccardIndex

    rng = np.random.default_rng(0)
    theirs = MulticlassJaccardIndex(12, average=None, ignore_index=255)
    both, either = np.zeros(12), np.zeros(12)
    for _ in range(5):
        given = rng.integers(0, 9, (20, 30)).astype(np.uint8)
        made = np.where(rng.random((20, 30)) < 0.6, given, rng.integers(0, 11, (20, 30)))
        given[:3] = 255
        counts = count_classes(given, made.astype(np.uint8), 12)
        both, either = both + counts.both, either + counts.either
        theirs.update(torch.tensor(made.astype(np.int64)), torch.tensor(given.astype(np.int64)))
    # Classes 9 and 10 are made and never given: 0. Class 11 is in neither and counts nowhere.
    expected = theirs.compute()[:11].mean().item()
    assert mean_iou(both, either) == pytest.approx(expected, abs=1e-6)


def test_several_sets_of_counts_have_a_mean_each():
    both, either = np.array([[1.0, 0], [2, 2]]), np.array([[2.0, 0], [2, 4]])
    assert mean_iou(both, either).tolist() == [0.5, 0.75]
