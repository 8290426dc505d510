import math

import pytest
import torch

from editar_cli import sampling
from editar_cli.config import SamplingConfig
from editar_cli.sampling import filter_logits, guide, guide_image, gumbel_noise, sample

INFINITY = math.inf


def kept(logits: torch.Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0):
    found = filter_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    return found.isfinite().nonzero().flatten().tolist()


def from_probabilities(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).log().float()


def test_guidance_goes_from_the_unconditional_through_the_conditional():
    c, u = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 3.0])
    assert torch.equal(guide(c, u, 0.0), u)
    assert torch.equal(guide(c, u, 1.0), c)
    assert guide(c, u, 3.0).tolist() == [4.0, -9.0]


def test_temperature_divides():
    logits = torch.tensor([1.0, 2.0, -3.0])
    halved = filter_logits(logits, temperature=2.0, top_k=0, top_p=1.0)
    assert halved.tolist() == [0.5, 1.0, -1.5]


def test_top_k_keeps_the_most_likely():
    assert kept(torch.tensor([0.1, 0.9, 0.5, 0.7]), top_k=2) == [1, 3]


def test_codes_that_tie_with_the_last_one_stay():
    assert kept(torch.tensor([1.0, 3.0, 2.0, 2.0, 0.0, 2.0]), top_k=2) == [1, 2, 3, 5]


@pytest.mark.parametrize("top_k", [0, 4, 1000])
def test_top_k_off_or_beyond_the_vocabulary_keeps_all(top_k: int):
    assert kept(torch.tensor([0.1, 0.9, 0.5, 0.7]), top_k=top_k) == [0, 1, 2, 3]


def test_top_p_keeps_the_code_that_crosses_p():
    logits = from_probabilities(0.1, 0.5, 0.1, 0.3)
    assert kept(logits, top_p=0.4) == [1]
    assert kept(logits, top_p=0.6) == [1, 3]
    assert kept(logits, top_p=0.79) == [1, 3]
    assert kept(logits, top_p=0.85) == [0, 1, 3]


def test_the_smallest_top_p_keeps_the_most_likely_code():
    assert kept(torch.zeros(5) + torch.tensor([0, 0, 1e-3, 0, 0]), top_p=1e-9) == [2]


def test_top_p_breaks_ties_by_code_number():
    assert kept(torch.zeros(8), top_p=0.3) == [0, 1, 2]


def test_top_p_counts_on_what_top_k_left():
    logits = from_probabilities(0.4, 0.3, 0.2, 0.1)
    # 0.4 of all, but 0.57 of the first two
    assert kept(logits, top_p=0.5) == [0, 1]
    assert kept(logits, top_k=2, top_p=0.5) == [0]


def test_top_p_of_one_keeps_even_the_least_likely():
    assert kept(torch.tensor([0.0, -80.0, 5.0])) == [0, 1, 2]


def test_rows_are_filtered_on_their_own():
    rows = torch.stack([torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 3.0])])
    found = filter_logits(rows, temperature=1.0, top_k=1, top_p=1.0)
    assert found.tolist() == [[3.0, -INFINITY, -INFINITY], [-INFINITY, -INFINITY, 3.0]]


def test_noise_is_frozen():
    # A change here changes every picture that anyone made with a seed.
    noise = gumbel_noise(torch.tensor([0, 1, 2**62 + 12345]), 7, 3)
    expected = torch.tensor(
        [
            [-0.5136331, -1.1411783, -0.7478215],
            [1.6640017, 0.3704727, -1.3656917],
            [-0.3409939, 0.0228175, -0.8312318],
        ]
    )
    torch.testing.assert_close(noise, expected, rtol=1e-6, atol=1e-6)


def test_noise_follows_the_gumbel_distribution():
    noise = gumbel_noise(torch.arange(40), 3, 25_000).double()
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.577216, abs=0.005)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, rel=0.01)
    for q in (0.001, 0.1, 0.5, 0.9, 0.999):
        share = (noise < -math.log(-math.log(q))).double().mean().item()
        assert share == pytest.approx(q, abs=4 * math.sqrt(q * (1 - q) / noise.numel()))


def test_seeds_positions_and_codes_are_independent():
    seeds = torch.arange(64)
    noise = torch.stack([gumbel_noise(seeds, position, 512) for position in range(4)])

    def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
        return abs(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item())

    limit = 4 / math.sqrt(noise[0].numel())
    assert correlation(noise[0], noise[1]) < limit
    assert correlation(noise[:, :-1], noise[:, 1:]) < limit
    assert correlation(noise[..., :-1], noise[..., 1:]) < limit
    # Seed s at position p + 1 must not be seed s + 1 at position p.
    assert correlation(noise[1:, :-1], noise[:-1, 1:]) < limit


def test_all_63_bits_of_a_seed_count():
    base = 0x1234_5678_9ABC_DEF0 >> 1
    seeds = torch.tensor([base] + [base ^ (1 << bit) for bit in range(63)])
    noise = gumbel_noise(seeds, 0, 8)
    assert len({tuple(row) for row in noise.tolist()}) == 64


def test_a_row_of_noise_does_not_depend_on_its_neighbours():
    seeds = torch.tensor([5, 6, 7])
    assert torch.equal(gumbel_noise(seeds, 1, 9)[1:2], gumbel_noise(seeds[1:2], 1, 9))


def test_a_larger_vocabulary_keeps_the_noise_of_the_first_codes():
    seeds = torch.tensor([5])
    assert torch.equal(gumbel_noise(seeds, 1, 90)[:, :9], gumbel_noise(seeds, 1, 9))


@pytest.mark.parametrize("config", [{"temperature": 0.0}, {"top_k": 1}])
def test_greedy_settings_take_the_most_likely_code(config):
    logits = torch.randn(6, 30, generator=torch.Generator().manual_seed(0))
    found = sample(logits, torch.arange(6), 0, SamplingConfig(**config))
    assert torch.equal(found, logits.argmax(-1))


def test_codes_are_drawn_as_often_as_their_probability_says():
    probabilities = torch.tensor([0.5, 0.25, 0.15, 0.1])
    draws = 20_000
    logits = probabilities.log().expand(draws, -1)
    codes = sample(logits, torch.arange(draws), 11, SamplingConfig())
    counts = torch.bincount(codes, minlength=4)
    deviation = (counts - draws * probabilities).square() / (draws * probabilities)
    assert deviation.sum() < 16.3, "chi-square with 3 degrees of freedom at 0.1 %"


def test_filtered_codes_are_never_drawn():
    logits = torch.tensor([2.0, 1.9, 1.8, 1.7]).expand(2000, -1)
    codes = sample(logits, torch.arange(2000), 0, SamplingConfig(top_k=2))
    assert set(codes.tolist()) == {0, 1}


def test_a_picture_draws_the_same_alone_and_in_company():
    logits = torch.randn(8, 200, generator=torch.Generator().manual_seed(0))
    seeds = torch.arange(8) * 977
    config = SamplingConfig(top_k=50, top_p=0.9)
    together = sample(logits, seeds, 4, config)
    alone = [sample(logits[i : i + 1], seeds[i : i + 1], 4, config) for i in range(8)]
    assert torch.equal(torch.cat(alone), together)


def test_two_scales_guide_away_from_less_and_less():
    c, u, n = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 3.0]), torch.tensor([0.0, 4.0])
    assert torch.equal(guide_image(c, u, n, 0.0, 0.0), n)
    assert torch.equal(guide_image(c, u, n, 0.0, 1.0), u)
    assert torch.equal(guide_image(c, u, n, 1.0, 1.0), c)
    assert torch.equal(guide_image(c, u, n, 3.0, 1.0), guide(c, u, 3.0))
    assert guide_image(c, u, n, 2.0, 3.0).tolist() == [5.0, -7.0]


def by_filter(
    logits: torch.Tensor, seeds: torch.Tensor, positions: torch.Tensor | int, config: SamplingConfig
) -> torch.Tensor:
    """The codes as they are defined, with noise for every code."""
    filtered = filter_logits(
        logits, temperature=config.temperature, top_k=config.top_k, top_p=config.top_p
    )
    noise = gumbel_noise(seeds, positions, logits.shape[-1])
    return (filtered + noise).argmax(dim=-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("top_k", [2, 7, 100, 299])
def test_noise_for_the_kept_codes_alone_draws_the_same(top_k: int, temperature: float):
    # 1,500 draws for each of 12 settings.
    noise = torch.Generator().manual_seed(top_k)
    logits = 2 * torch.randn(1500, 300, generator=noise)
    seeds = torch.randint(2**62, (1500,), generator=noise)
    positions = torch.randint(1024, (1500,), generator=noise)
    config = SamplingConfig(top_k=top_k, temperature=temperature)
    found = sample(logits, seeds, positions, config)
    assert torch.equal(found, by_filter(logits, seeds, positions, config))
    # One row at a time, as a single picture draws.
    alone = [sample(logits[i], seeds[i], positions[i], config) for i in range(200)]
    assert torch.equal(torch.stack(alone), found[:200])


@pytest.mark.parametrize("levels", [3, 40])
def test_ties_at_the_last_kept_code_are_drawn_as_defined(levels: int):
    # Rounded logits: of 60 codes many are equal, and often the k-th among them.
    noise = torch.Generator().manual_seed(levels)
    logits = (torch.rand(2000, 60, generator=noise) * levels).round()
    seeds = torch.randint(2**62, (2000,), generator=noise)
    for top_k in (2, 10, 59):
        config = SamplingConfig(top_k=top_k)
        kept = (filter_logits(logits, temperature=1.0, top_k=top_k, top_p=1.0) > -INFINITY).sum(-1)
        assert (kept > top_k).any(), "there are ties"
        wanted = by_filter(logits, seeds, 3, config)
        assert torch.equal(sample(logits, seeds, 3, config), wanted)
        # Rows without ties go the short way when they are among themselves.
        clear = kept == top_k
        if clear.any():
            found = sample(logits[clear], seeds[clear], 3, config)
            assert torch.equal(found, wanted[clear])


def test_the_short_way_is_taken(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []

    def recording(seeds, positions, codes):
        asked.append(codes if isinstance(codes, int) else codes.shape[-1])
        return gumbel_noise(seeds, positions, codes)

    monkeypatch.setattr(sampling, "gumbel_noise", recording)
    logits, seeds = torch.arange(30.0).expand(4, -1), torch.arange(4)
    sample(logits, seeds, 0, SamplingConfig(top_k=5))
    sample(logits, seeds, 0, SamplingConfig(top_k=5, top_p=0.9))
    sample(logits, seeds, 0, SamplingConfig(top_k=30))
    sample(torch.zeros(4, 30), seeds, 0, SamplingConfig(top_k=5))
    # The last has ties: five codes are not enough.
    assert asked == [5, 30, 30, 30]


@pytest.mark.parametrize(
    "config",
    [
        SamplingConfig(top_k=9),
        SamplingConfig(top_k=0),
        SamplingConfig(top_k=9, top_p=0.6),
        SamplingConfig(temperature=0.0),
        SamplingConfig(top_k=1),
    ],
)
def test_many_places_of_many_pictures_are_drawn_at_once(config: SamplingConfig):
    noise = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, 50, 40, generator=noise)
    seeds = torch.tensor([[5], [2**61], [7]])
    positions = torch.tensor([[0], [20], [3]]) + torch.arange(50)
    found = sample(logits, seeds, positions, config)
    assert found.shape == (3, 50) and found.dtype == torch.int64
    one_by_one = [
        [sample(logits[b, n], seeds[b, 0], int(positions[b, n]), config) for n in range(50)]
        for b in range(3)
    ]
    assert found.tolist() == [[int(code) for code in row] for row in one_by_one]


def test_noise_of_some_codes_is_that_of_all_of_them():
    seeds, positions = torch.tensor([[5], [2**61]]), torch.tensor([[3, 4, 5]])
    whole = gumbel_noise(seeds, positions, 4096)
    assert whole.shape == (2, 3, 4096)
    noise = torch.Generator().manual_seed(0)
    for count in (1, 3, 100, 1000):
        some = torch.randint(4096, (2, 3, count), generator=noise)
        assert torch.equal(gumbel_noise(seeds, positions, some), whole.gather(-1, some))
