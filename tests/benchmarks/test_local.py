import numpy as np
import pytest

from editar_cli.benchmarks.local import (
    MOST_DECIBELS,
    LocalRow,
    inside,
    judge_local,
    local_table,
    psnr,
    summarise_local,
)
from editar_cli.synthesis import Pair


def flat(value, height=20, width=30):
    return np.full((height, width, 3), value, np.uint8)


def left_half():
    mask = np.zeros((20, 30), np.bool_)
    mask[:, :15] = True
    return mask


def pair():
    edited = flat(128)
    edited[:, :15] = 200
    return Pair(
        source=flat(128),
        edited=edited,
        mask=left_half(),
        instruction="add a dog",
        effect="addition",
    )


def row(source, output, outside):
    return LocalRow(
        photo="a", family="removal", instruction="x", seed=0, share=0.1, source_inside=source,
        output_inside=output, psnr_outside=outside,
    )  # fmt: skip


def test_inside_is_the_mean_delta_e_over_the_mask():
    # L* = 53.585 for 128 and 12.248 for 32.
    second = flat(128)
    second[:, :15] = 32
    assert inside(flat(128), second, left_half()) == pytest.approx(53.585 - 12.248, abs=0.1)
    assert inside(flat(128), second, ~left_half()) == 0


def test_psnr_is_over_the_mask_and_limited():
    second = flat(128)
    second[:, 15:] = 138
    assert psnr(flat(128), second, left_half()) == MOST_DECIBELS
    assert psnr(flat(128), second, ~left_half()) == pytest.approx(20 * np.log10(25.5))
    assert psnr(flat(128), second, np.zeros((20, 30), np.bool_)) is None


def test_doing_nothing_is_no_nearer_and_the_truth_is():
    nothing = judge_local("a.jpg", pair(), 3, flat(128))
    assert (nothing.photo, nothing.family, nothing.seed, nothing.share) == (
        "a.jpg", "addition", 3, 0.5
    )  # fmt: skip
    assert nothing.output_inside == nothing.source_inside > 20 and not nothing.nearer
    assert nothing.psnr_outside == MOST_DECIBELS
    perfect = judge_local("a.jpg", pair(), 3, pair().edited)
    assert perfect.output_inside == 0 and perfect.nearer


def test_a_change_outside_costs_psnr_alone():
    output = pair().edited.copy()
    output[:, 15:] += 20
    found = judge_local("a.jpg", pair(), 3, output)
    assert found.output_inside == 0
    assert found.psnr_outside == pytest.approx(20 * np.log10(255 / 20))


def test_a_family_has_medians_and_the_share_that_is_nearer():
    found = summarise_local(
        "removal", [row(10, 5, 30.0), row(10, 12, None), row(20, 2, 40.0), row(10, 10, 32.0)]
    )
    assert (found.edits, found.nearer, found.psnr_outside) == (4, 0.5, 32.0)
    assert found.median_ratio == pytest.approx(0.75)
    assert local_table([found]) == [("removal", "4", "50 %", "0.75", "32.0 dB")]
    assert local_table([summarise_local("removal", [row(1, 0, None)])])[0][-1] == "-"
