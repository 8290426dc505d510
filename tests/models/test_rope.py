import pytest
import torch

from editar_cli.models.rope import rotary_table, rotate

GRID, TEXT, HEAD = 4, 3, 16


def row_of(part: int, row: int, column: int) -> int:
    """Place in the sequence of a cell of the input (0) or output (1) picture."""
    return part * (GRID * GRID + TEXT) + row * GRID + column


def test_one_row_per_position_and_one_turn_per_channel_pair():
    table = rotary_table(GRID, TEXT, HEAD)
    assert table.shape == (2 * GRID * GRID + TEXT, HEAD // 2, 2)
    assert table.dtype == torch.float32


def test_text_positions_have_zero_cosines_and_sines():
    table = rotary_table(GRID, TEXT, HEAD)
    source = GRID * GRID
    assert (table[source : source + TEXT] == 0).all()
    others = torch.cat([table[:source], table[source + TEXT :]])
    torch.testing.assert_close(others.square().sum(-1), torch.ones(2 * source, HEAD // 2))


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 3), (2, 1), (3, 3)])
def test_the_first_half_turns_with_the_row_and_the_second_with_the_column(part, row, column):
    turns = rotary_table(GRID, TEXT, HEAD)[row_of(part, row, column)]
    frequencies = torch.tensor([10000.0 ** (-2 * i / 8) for i in range(4)])
    offset = part * GRID
    angles = torch.cat([(row + offset) * frequencies, (column + offset) * frequencies])
    torch.testing.assert_close(turns, torch.stack([angles.cos(), angles.sin()], -1))


def test_the_base_sets_the_slowest_frequency():
    slow, fast = (rotary_table(2, 0, HEAD, base)[2, 3] for base in (10000.0, 16.0))
    assert slow[1].item() == pytest.approx(torch.tensor(10000.0**-0.75).sin().item())
    assert fast[1].item() == pytest.approx(torch.tensor(16.0**-0.75).sin().item())


def test_a_head_size_that_is_no_multiple_of_four_is_refused():
    with pytest.raises(ValueError, match="divisible by 4, not 6"):
        rotary_table(GRID, TEXT, 6)


def test_adjacent_channels_turn_together():
    x = torch.zeros(1, 1, 1, 4)
    x[..., 2] = 1.0
    angle = torch.tensor(0.3)
    turns = torch.stack([angle.cos(), angle.sin()]).expand(1, 2, 2)
    expected = torch.stack([torch.tensor(0.0), torch.tensor(0.0), angle.cos(), angle.sin()])
    torch.testing.assert_close(rotate(x, turns)[0, 0, 0], expected)


def test_scores_depend_on_the_displacement_alone():
    table = rotary_table(GRID, TEXT, HEAD)
    query, key = torch.randn(2, 1, 1, 1, HEAD, generator=torch.Generator().manual_seed(0))

    def score(a: int, b: int) -> torch.Tensor:
        return (rotate(query, table[a : a + 1]) * rotate(key, table[b : b + 1])).sum()

    # From an output cell to the input cell that lies one row up and one column right of it.
    scores = [
        score(row_of(1, row, column), row_of(0, row - 1, column + 1))
        for row, column in ((1, 0), (2, 1), (3, 2))
    ]
    torch.testing.assert_close(torch.stack(scores), scores[0].expand(3), atol=1e-5, rtol=1e-5)
    assert abs(scores[0] - score(row_of(1, 1, 0), row_of(0, 1, 1))) > 1e-2


def test_rotation_keeps_the_number_format():
    x = torch.randn(1, 2, GRID * GRID, HEAD).bfloat16()
    assert rotate(x, rotary_table(GRID, 0, HEAD)[: GRID * GRID]).dtype == torch.bfloat16
