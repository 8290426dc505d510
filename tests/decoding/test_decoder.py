from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from editar_cli.conditioning import Dropped
from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import (
    FREE,
    Board,
    Decoded,
    PassCost,
    Request,
    Score,
    Strategy,
    decode,
    run_lengths,
)
from editar_cli.decoding.rows import Rows
from editar_cli.decoding.sequential import Sequential
from editar_cli.decoding.speculative import Speculative
from editar_cli.models.gpt import EditARTransformer
from editar_cli.sampling import guide, guide_image
from editar_cli.training.editor import teacher_forcing
from tests.decoding.tiny_requests import decode_all, packed_transformer, tiny_requests
from tests.tiny_transformer import tiny_transformer

SAMPLING = SamplingConfig(guidance=3.0, top_k=20)
PLAIN = SamplingConfig(guidance=1.0, top_k=20)


class Oracle(Sequential):
    """Guesses from known codes, every ``wrong``-th of them wrongly."""

    def __init__(self, codes: Tensor, vocab_size: int, wrong: int | None = None) -> None:
        self.codes = codes.numpy().copy()
        if wrong is not None:
            self.codes[:, ::wrong] = (self.codes[:, ::wrong] + 1) % vocab_size

    def guess(self, board, rows, count):
        at = np.minimum(board.next[:rows, None] + np.arange(count), board.total - 1)
        return np.take_along_axis(self.codes[board.index[:rows]], at, axis=1)

    def expect(self, guessed):
        return guessed


class Chance(Sequential):
    """Guesses at random."""

    def __init__(self, vocab_size: int) -> None:
        self.random = np.random.default_rng(0)
        self.vocab_size = vocab_size

    def guess(self, board, rows, count):
        return self.random.integers(self.vocab_size, size=(rows, count))


class Tracking(Sequential):
    """Keeps account of which picture is in which row."""

    def __init__(self) -> None:
        self.pictures: dict[int, int] = {}
        self.learnt: dict[int, list[int]] = {}

    def start(self, board, row):
        self.pictures[row] = board.index[row]
        self.learnt[board.index[row]] = [0]

    def move(self, source, target):
        self.pictures[target] = self.pictures[source]

    def guess(self, board, rows, count):
        assert [self.pictures[row] for row in range(rows)] == board.index[:rows]
        return super().guess(board, rows, count)

    def learn(self, board, row, start, guesses, picks, kept):
        assert start + kept == board.next[row] and len(picks) == len(guesses) + 1
        assert board.codes[row, start : start + kept].tolist() == picks[:kept].tolist()
        self.learnt[self.pictures[row]] += range(start, start + kept)


def counted_fills(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of ``Rows.fill`` reads."""
    calls: list[int] = []
    fill = Rows.fill

    def counting(self, first, source_codes, text):
        calls.append(len(source_codes))
        return fill(self, first, source_codes, text)

    monkeypatch.setattr(Rows, "fill", counting)
    return calls


def counted_passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Rows and codes of each pass."""
    calls: list[tuple[int, int]] = []
    draw = Rows.draw

    def counting(self, codes, *args):
        calls.append(tuple(codes.shape))
        return draw(self, codes, *args)

    monkeypatch.setattr(Rows, "draw", counting)
    return calls


@pytest.mark.parametrize(
    ("marks", "lengths"),
    [
        ("", []),
        (".", [0]),
        ("x", [1]),
        ("..xx.xxx", [0, 0, 2, 1, 0, 3, 2, 1]),
        ("xxx..", [3, 2, 1, 0, 0]),
    ],
)
def test_runs_are_as_long_as_they_are_marked(marks: str, lengths: list[int]):
    assert run_lengths(np.array([mark == "x" for mark in marks], bool)).tolist() == lengths


def test_a_board_tells_when_all_codes_are_known():
    board = Board(2, 4)
    source = torch.tensor([4, 5, 6, 7])
    request = Request(
        source_codes=source, text=torch.zeros(1, 1), seed=3, instruction="x",
        forced=torch.tensor([FREE, 9, FREE, 8]),
    )  # fmt: skip
    board.place(1, 12, request)
    board.passes[1] = 7
    assert board.source[1].tolist() == source.tolist() and board.seeds[1] == 3
    assert [board.finished(1) for board.next[1] in range(5)] == [False, False, False, True, True]
    board.move(1, 0)
    assert board.index[0] == 12 and board.instruction[0] == "x" and board.passes[0] == 7
    assert board.forced[0].tolist() == [FREE, 9, FREE, 8]
    board.place(0, 13, Request(source_codes=source, text=torch.zeros(1, 1), seed=4))
    assert board.next[0] == 0 and board.passes[0] == 0 and board.seeds[0] == 4
    assert not board.forced_run[0].any() and (board.forced[0] == FREE).all()
    assert board.forced[1].tolist() == [FREE, 9, FREE, 8], "the rows are apart"


def test_the_cost_of_a_pass_is_a_line_that_is_learnt():
    cost = PassCost(free=8.0)
    assert cost.seconds(np.array([0, 8, 16])).tolist() == [1.0, 2.0, 3.0]
    sizes = [2, 8, 32, 5, 64, 16]
    for i in range(300):
        size = sizes[i % len(sizes)]
        cost.measured(size, 0.010 + 0.0005 * size)
    found = cost.seconds(np.array([1, 10, 100]))
    assert found.tolist() == pytest.approx([0.0105, 0.015, 0.06], rel=0.02)
    # A machine that becomes slower is noticed.
    for i in range(300):
        cost.measured(sizes[i % len(sizes)], 0.030 + 0.0005 * sizes[i % len(sizes)])
    assert cost.seconds(np.array([1]))[0] == pytest.approx(0.0305, rel=0.05)


def test_a_pass_that_was_interrupted_says_little():
    usual, disturbed = PassCost(free=8.0), PassCost(free=8.0)
    for cost in (usual, disturbed):
        for size in (2, 16, 4, 32) * 20:
            cost.measured(size, 0.010 + 0.0005 * size)
    usual.measured(8, 0.014)
    disturbed.measured(8, 3600.0)
    at = np.array([8, 32])
    assert (disturbed.seconds(at) < 1.05 * usual.seconds(at)).all()
    assert (disturbed.seconds(at) > usual.seconds(at)).all()


def test_a_pass_never_costs_less_for_more_codes():
    cost = PassCost(free=8.0)
    for size in (2, 16, 4, 32) * 20:
        cost.measured(size, 0.02 - 0.0005 * size)
    assert cost.seconds(np.array([1]))[0] > 0
    assert (np.diff(cost.seconds(np.array([1, 10, 100]))) >= 0).all()


@pytest.mark.parametrize("sampling", [PLAIN, SAMPLING])
@pytest.mark.parametrize("window", [1, 4, 6, 15, 64])
def test_right_guesses_all_stand(sampling: SamplingConfig, window: int):
    model = packed_transformer()
    requests = tiny_requests(model, 3)
    codes, passes = decode_all(model, requests, sampling, window=1)
    assert passes == [15, 15, 15]
    oracle = Oracle(codes, model.config.vocab_size)
    found, fewer = decode_all(model, requests, sampling, oracle, rows=2, window=window)
    assert torch.equal(found, codes)
    # The first code comes off the prefix.
    assert fewer == [-(-15 // window)] * 3


@pytest.mark.parametrize("wrong", [1, 2, 5])
def test_wrong_guesses_cost_passes_and_change_nothing(wrong: int):
    model = packed_transformer()
    requests = tiny_requests(model, 4)
    codes, _ = decode_all(model, requests, SAMPLING, window=1)
    oracle = Oracle(codes, model.config.vocab_size, wrong)
    found, passes = decode_all(model, requests, SAMPLING, oracle, rows=3, window=16)
    assert torch.equal(found, codes)
    # A pass goes as far as the first wrong guess, and past it: what it drew there is right.
    assert passes == [len(range(wrong, 15, wrong)) + 1] * 4


def test_guesses_by_chance_change_nothing():
    model = packed_transformer(vocab_size=3)
    requests = tiny_requests(model, 6)
    sampling = SamplingConfig(guidance=3.0)
    codes, passes = decode_all(model, requests, sampling, window=1)
    found, fewer = decode_all(model, requests, sampling, Chance(3), rows=4, window=6)
    assert torch.equal(found, codes)
    assert sum(fewer) < sum(passes), "one in three is right"


def test_windows_grow_where_guesses_are_right():
    model = packed_transformer(grid=8)
    requests = tiny_requests(model, 1)
    codes, _ = decode_all(model, requests, PLAIN, window=1)
    # However long a pass takes, twice the codes cost less than twice as much.
    _, passes = decode_all(model, requests, PLAIN, Oracle(codes, model.config.vocab_size))
    assert passes[0] <= 4


@pytest.mark.parametrize("sampling", [PLAIN, SAMPLING])
def test_codes_do_not_depend_on_rows_or_order(sampling: SamplingConfig):
    model = packed_transformer()
    requests = tiny_requests(model, 9)
    codes, _ = decode_all(model, requests, sampling)
    order = [5, 2, 7, 0, 8, 3, 6, 1, 4]
    for rows in (1, 2, 4, 9, 30):
        found, _ = decode_all(model, [requests[i] for i in order], sampling, rows=rows)
        assert torch.equal(found, codes[order])


def test_a_strategy_is_told_where_pictures_are_and_what_became_of_them():
    model = packed_transformer()
    forced = [torch.where(torch.arange(16) < 3 * i, FREE, torch.arange(16)) for i in range(6)]
    requests = tiny_requests(model, 6, forced=forced)
    for rows, window in ((4, 2), (3, None)):
        strategy = Tracking()
        decode_all(model, requests, SAMPLING, strategy, rows=rows, window=window)
        # All codes that stood behind the first, up to where the given ones begin.
        assert {i: len(stood) for i, stood in strategy.learnt.items()} == {
            i: 3 * i for i in range(1, 6)
        }
        assert all(stood == list(range(len(stood))) for stood in strategy.learnt.values())


def test_rows_that_were_used_before_serve_again():
    model = packed_transformer()
    rows = Rows(model, 2, SAMPLING)
    first, second = tiny_requests(model, 3), tiny_requests(model, 3, seed=1)
    fresh, _ = decode_all(model, second, SAMPLING, rows=2)
    # ... even where somebody stopped half-way.
    stopped = decode(model, first, SAMPLING, Sequential(), rows=rows)
    next(stopped)
    found, _ = decode_all(model, second, SAMPLING, rows=rows)
    assert torch.equal(found, fresh)


def test_pictures_are_taken_as_rows_become_free():
    model = packed_transformer()
    # The second has a single code to decide, so its row is free at once.
    forced = torch.arange(16)
    forced[0] = FREE
    requests = tiny_requests(model, 5, forced=[None, forced, None, None, None])
    taken: list[int] = []

    def one_by_one() -> Iterator[Request]:
        for index, request in enumerate(requests):
            taken.append(index)
            yield request

    found = decode(model, one_by_one(), SAMPLING, Sequential(), rows=2)
    assert taken == [], "nothing is taken before somebody asks"
    assert next(found).index == 1
    assert taken == [0, 1]
    assert {next(found).index for _ in range(2)} == {0, 2}
    assert [done.index for done in found] == [3, 4]


def test_no_pictures_are_decoded_to_none():
    assert list(decode(packed_transformer(), [], SAMPLING, Sequential(), rows=2)) == []


def test_every_code_is_reported_once():
    model = packed_transformer()
    everything = torch.arange(16)
    tail = torch.where(torch.arange(16) < 6, FREE, everything)
    requests = tiny_requests(model, 4, forced=[None, everything, tail, None])
    for window in (1, 5):
        seen: list[int] = []
        list(
            decode(
                model, requests, SAMPLING, Sequential(), rows=2, window=window,
                on_codes=seen.append,
            )
        )  # fmt: skip
        assert sum(seen) == 4 * 16 and min(seen) >= 0


def test_codes_that_are_all_given_cost_nothing(monkeypatch: pytest.MonkeyPatch):
    fills, passes = counted_fills(monkeypatch), counted_passes(monkeypatch)
    model = packed_transformer()
    given = torch.arange(16).flip(0)
    requests = tiny_requests(model, 3, forced=[given, given + 1, given + 2])
    codes, spent = decode_all(model, requests, SAMPLING, rows=2)
    assert torch.equal(codes, torch.stack([given, given + 1, given + 2]))
    assert spent == [0, 0, 0] and fills == [] and passes == []


@pytest.mark.parametrize(
    ("free", "spent", "windows"),
    [
        # Of 16 codes these are decided: the first comes off the prefix.
        ([0], 0, []),
        ([15], 1, [15]),
        ([0, 15], 1, [15]),
        ([1], 1, [1]),
        ([3, 4, 12], 3, [3, 1, 8]),
        ([0, 7], 1, [7]),
    ],
)
def test_a_run_of_given_codes_enters_in_one_pass(
    monkeypatch: pytest.MonkeyPatch, free: list[int], spent: int, windows: list[int]
):
    model = packed_transformer()
    requests = tiny_requests(model, 1)
    forced = tiny_requests(model, 1, seed=9)[0].source_codes
    forced[free] = FREE
    requests = tiny_requests(model, 1, forced=[forced])
    passes = counted_passes(monkeypatch)
    codes, found = decode_all(model, requests, SAMPLING, window=1)
    assert found == [spent] and passes == [(1, window) for window in windows]
    given = forced != FREE
    assert torch.equal(codes[0][given], forced[given])


def test_given_codes_are_what_the_rest_is_drawn_after():
    # Codes that another run drew, given in part, bring out the same picture.
    model = packed_transformer()
    requests = tiny_requests(model, 4)
    codes, _ = decode_all(model, requests, SAMPLING)
    given = torch.rand(codes.shape, generator=torch.Generator().manual_seed(0)) < 0.6
    again = tiny_requests(model, 4, forced=list(torch.where(given, codes, FREE)))
    for rows in (1, 3):
        assert torch.equal(decode_all(model, again, SAMPLING, rows=rows)[0], codes)
    # Other codes bring out another one.
    changed = torch.where(given, (codes + 1) % 40, FREE)
    found, _ = decode_all(model, tiny_requests(model, 4, forced=list(changed)), SAMPLING)
    assert (found[~given] != codes[~given]).float().mean() > 0.3


def twins(model, count: int) -> list[Request]:
    """Requests for one picture with texts and seeds that differ."""
    requests = tiny_requests(model, count)
    return [
        Request(source_codes=requests[0].source_codes.clone(), text=one.text, seed=one.seed)
        for one in requests
    ]


@pytest.mark.parametrize("sampling", [PLAIN, SAMPLING, SamplingConfig(image_guidance=2.0)])
def test_a_picture_that_is_under_way_already_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch, sampling: SamplingConfig
):
    model = packed_transformer()
    requests = twins(model, 5)
    alone, _ = decode_all(model, requests, sampling)
    fills = counted_fills(monkeypatch)
    together, _ = decode_all(model, requests, sampling, rows=5)
    assert fills == [1]
    assert torch.equal(together, alone)
    assert (together[1:] != together[:1]).any(dim=1).all()


def test_twins_are_found_among_others_and_when_they_come_later(monkeypatch: pytest.MonkeyPatch):
    model = packed_transformer()
    others = tiny_requests(model, 3, seed=1)
    same = twins(model, 4)
    requests = [others[0], same[0], others[1], same[1], same[2], others[2], same[3]]
    alone, _ = decode_all(model, requests, SAMPLING)
    fills = counted_fills(monkeypatch)
    assert torch.equal(decode_all(model, requests, SAMPLING, rows=7)[0], alone)
    # Rows 0 to 2 and row 5; the others take over what row 1 holds.
    assert fills == [3, 1]
    # A picture that is done at once makes room for a twin of the one beside it.
    forced = others[0].source_codes.clone()
    forced[0] = FREE
    short = tiny_requests(model, 1, seed=1, forced=[forced])[0]
    fills.clear()
    found, _ = decode_all(model, [same[0], short, same[1]], SAMPLING, rows=2)
    assert fills == [2]
    assert torch.equal(found[[0, 2]], alone[[1, 3]])


def test_the_seed_decides_and_nothing_else_that_is_random():
    model = packed_transformer()
    requests = tiny_requests(model, 3)
    torch.manual_seed(1)
    first, _ = decode_all(model, requests, SAMPLING)
    torch.manual_seed(2)
    assert torch.equal(decode_all(model, requests, SAMPLING)[0], first)
    moved = [
        Request(source_codes=one.source_codes, text=one.text, seed=one.seed + add)
        for one, add in zip(requests, (0, 1, 2**32), strict=True)
    ]
    other, _ = decode_all(model, moved, SAMPLING)
    assert torch.equal(other[0], first[0])
    assert (other[1:] != first[1:]).float().mean(dim=1).min() > 0.3


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_grid_of_one_code_works(guidance: float):
    model = packed_transformer(grid=1)
    codes, passes = decode_all(
        model, tiny_requests(model, 3), SamplingConfig(guidance=guidance), rows=2
    )
    assert codes.shape == (3, 1) and passes == [0, 0, 0]


def scored(requests: list[Request]) -> list[Request]:
    return [replace(request, scored=True) for request in requests]


def scores_of(
    model: EditARTransformer,
    requests: list[Request],
    sampling: SamplingConfig,
    strategy: Strategy,
    **more,
) -> tuple[list[Decoded], list[Score | None]]:
    found = sorted(decode(model, requests, sampling, strategy, **more), key=lambda done: done.index)
    return found, [done.score for done in found]


@pytest.mark.parametrize(
    ("sampling", "guided"),
    [
        (SamplingConfig(guidance=3.0, top_k=5, temperature=0.7), 16),
        (SamplingConfig(guidance=1.0, top_k=5), 0),
        (SamplingConfig(guidance=3.0, guidance_interval=4, top_p=0.8), 6),
        (SamplingConfig(guidance=2.0, image_guidance=1.5), 16),
    ],
)
@torch.inference_mode()
def test_scores_are_those_of_teacher_forcing(sampling: SamplingConfig, guided: int):
    model = tiny_transformer()
    forced = [None, torch.full((16,), FREE), torch.full((16,), FREE), None]
    forced[1][[0, 3, 4, 5, 15]] = 7
    forced[2][4:] = 2
    requests = scored(tiny_requests(model, 4, forced=forced))
    found, scores = scores_of(model, requests, sampling, Sequential(), rows=2)
    for request, done, score in zip(requests, found, scores, strict=True):
        logits = [
            teacher_forcing(
                model,
                request.source_codes[None],
                done.codes[None],
                request.text[None],
                Dropped(image=torch.tensor([image]), text=torch.tensor([text])),
            ).logits[0]
            for image, text in ((False, False), (False, True), (True, True))
        ]
        mixed = guide(logits[0], logits[1], sampling.guidance)
        if sampling.image_guidance is not None:
            mixed = guide_image(*logits, sampling.guidance, sampling.image_guidance)
        mixed = torch.where((torch.arange(16) < guided)[:, None], mixed, logits[0])
        free = (
            torch.ones(16, dtype=torch.bool) if request.forced is None else request.forced == FREE
        )
        picked = [x.log_softmax(-1).gather(-1, done.codes[:, None])[:, 0] for x in (mixed, *logits)]
        assert score is not None
        assert score.likelihood == pytest.approx(float(picked[0][free].mean()), abs=1e-4)
        free &= torch.arange(16) < guided
        if not guided:
            assert score.ratio is None
        else:
            raised = (picked[1] - picked[2])[free].mean()
            assert score.ratio == pytest.approx(float(raised), abs=1e-4)


@pytest.mark.parametrize("sampling", [SAMPLING, PLAIN])
def test_scores_do_not_depend_on_the_strategy_the_window_or_the_batch(sampling: SamplingConfig):
    model = packed_transformer(grid=8)
    forced = [None, torch.full((64,), FREE), None, None, None]
    forced[1][10:40] = 3
    requests = scored(tiny_requests(model, 5, forced=forced))
    _, plain = scores_of(model, requests, sampling, Sequential(), rows=1)
    assert len({score.likelihood for score in plain if score is not None}) == 5
    for strategy, rows, window in (
        (Sequential(), 4, None),
        (Speculative(), 1, None),
        (Speculative(), 3, 7),
        (Speculative(), 8, 64),
    ):
        found = scores_of(model, requests, sampling, strategy, rows=rows, window=window)[1]
        for score, wanted in zip(found, plain, strict=True):
            assert score.likelihood == pytest.approx(wanted.likelihood, abs=1e-6)
            assert score.ratio == (
                None if wanted.ratio is None else pytest.approx(wanted.ratio, abs=1e-6)
            )


def test_nothing_is_scored_that_did_not_ask(monkeypatch: pytest.MonkeyPatch):
    model = packed_transformer()
    requests = tiny_requests(model, 3)
    codes, scores = scores_of(model, requests, SAMPLING, Sequential(), rows=2)
    assert scores == [None] * 3
    with monkeypatch.context() as patch:
        patch.setattr(Rows, "score", None)
        decode_all(model, requests, SAMPLING)
    mixed = [requests[0], *scored(requests[1:2]), requests[2]]
    found, scores = scores_of(model, mixed, SAMPLING, Speculative(), rows=3)
    assert [score is None for score in scores] == [True, False, True]
    assert all(torch.equal(a.codes, b.codes) for a, b in zip(codes, found, strict=True))
    given = replace(scored(requests)[0], forced=requests[0].source_codes)
    assert scores_of(model, [given], SAMPLING, Sequential(), rows=1)[1] == [None]
