from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import FREE, Board, Request
from editar_cli.decoding.rows import Rows
from editar_cli.decoding.speculative import Speculative
from editar_cli.embedded import embedded_folder
from tests.decoding.tiny_requests import decode_all, packed_transformer, tiny_requests

SETTINGS = {
    "one branch": SamplingConfig(guidance=1.0, top_k=0),
    "guidance": SamplingConfig(guidance=3.0, temperature=0.5, top_k=12),
    "interval": SamplingConfig(guidance=3.0, guidance_interval=5, top_p=0.8),
    "image guidance": SamplingConfig(guidance=2.0, image_guidance=1.5, temperature=0.5, top_k=20),
    "image guidance, interval": SamplingConfig(
        guidance=1.0, image_guidance=2.0, guidance_interval=3
    ),
    "greedy": SamplingConfig(temperature=0.0),
}
PICTURES = 20


def masks(kind: str, codes: Tensor) -> list[Tensor | None] | None:
    """Forced codes of each picture: random ones, none, all, all but one, long runs."""
    if kind == "free":
        return None
    total = codes.shape[1]
    free = torch.rand(codes.shape, generator=torch.Generator().manual_seed(3)) < 0.4
    free[0], free[1] = False, True
    free[2, 0], free[3, -1], free[5, 3 : total - 4] = False, False, False
    free[6], free[7] = False, False
    free[6, 0], free[7, -1] = True, True
    # Several pictures with one mask: all their rows skip the same run.
    free[8:16] = free[8]
    forced = torch.where(free, FREE, codes)
    return [None if i % 5 == 4 else forced[i] for i in range(len(codes))]


@pytest.mark.parametrize("kind", ["free", "masks"])
@pytest.mark.parametrize("name", SETTINGS)
def test_codes_are_those_of_the_plain_order(name: str, kind: str):
    # 12 combinations of 20 pictures with seeds of their own, each in 4 ways.
    model, sampling = packed_transformer(seed=len(name)), SETTINGS[name]
    requests = tiny_requests(model, PICTURES, seed=len(name))
    codes = torch.stack([request.source_codes for request in requests])
    requests = tiny_requests(model, PICTURES, seed=len(name), forced=masks(kind, codes))
    plain, passes = decode_all(model, requests, sampling, rows=3, window=1)
    for rows, window in ((1, None), (3, 64), (5, 2), (8, None)):
        found, fewer = decode_all(
            model, requests, sampling, Speculative(), rows=rows, window=window
        )
        assert torch.equal(found, plain), (rows, window)
    assert sum(fewer) <= sum(passes)
    if kind == "masks":
        assert passes[0] == 0, "everything was given"
        for request, one in zip(requests, plain, strict=True):
            if request.forced is not None:
                given = request.forced != FREE
                assert torch.equal(one[given], request.forced[given])


@pytest.mark.parametrize(
    ("grid", "vocab_size", "temperature", "more"),
    [
        (2, 7, 1.0, {}),
        (3, 2, 1.0, {"guidance": 1.0}),
        (5, 300, 0.5, {"top_k": 50}),
        (7, 1000, 1.0, {"image_guidance": 2.0, "guidance_interval": 20}),
        (8, 16, 0.5, {"top_p": 0.7}),
    ],
)
def test_codes_are_those_of_the_plain_order_for_any_grid_and_vocabulary(
    grid: int, vocab_size: int, temperature: float, more: dict[str, float]
):
    model = packed_transformer(seed=grid, grid=grid, vocab_size=vocab_size)
    sampling = SamplingConfig(temperature=temperature, **more)
    requests = tiny_requests(model, 8, seed=grid)
    codes = torch.stack([request.source_codes for request in requests])
    free = torch.rand(codes.shape, generator=torch.Generator().manual_seed(grid)) < 0.5
    forced = [None if i % 2 else row for i, row in enumerate(torch.where(free, FREE, codes))]
    requests = tiny_requests(model, 8, seed=grid, forced=forced)
    plain, _ = decode_all(model, requests, sampling, rows=8, window=1)
    for rows, window in ((1, 16), (3, None), (8, None)):
        found, _ = decode_all(model, requests, sampling, Speculative(), rows=rows, window=window)
        assert torch.equal(found, plain), (rows, window)


def test_codes_are_those_of_the_plain_order_for_every_window():
    model = packed_transformer()
    requests = tiny_requests(model, 4)
    sampling = SETTINGS["guidance"]
    rows = Rows(model, 3, sampling)
    plain, _ = decode_all(model, requests, sampling, rows=rows, window=1)
    for window in (*range(1, 18), 33, 64):
        found, _ = decode_all(model, requests, sampling, Speculative(), rows=rows, window=window)
        assert torch.equal(found, plain), window


def test_one_object_serves_many_runs():
    model = packed_transformer()
    strategy, sampling = Speculative(), SETTINGS["guidance"]
    for seed, rows in ((0, 2), (1, 5), (2, 1)):
        requests = tiny_requests(model, 6, seed=seed)
        plain, _ = decode_all(model, requests, sampling, rows=3)
        assert torch.equal(decode_all(model, requests, sampling, strategy, rows=rows)[0], plain)


def board_of(*sources: list[int]) -> Board:
    board = Board(len(sources), len(sources[0]))
    for row, source in enumerate(sources):
        request = Request(source_codes=torch.tensor(source), text=torch.zeros(1, 1), seed=0)
        board.place(row, row, request)
        board.next[row] = 1
    return board


def test_the_source_is_the_first_guess_and_what_was_drawn_the_next():
    board = board_of([1, 2, 3, 4, 5, 6], [9, 8, 7, 6, 5, 4])
    strategy = Speculative()
    strategy.begin(board)
    strategy.start(board, 0)
    strategy.start(board, 1)
    assert strategy.guess(board, 2, 3).tolist() == [[2, 3, 4], [8, 7, 6]]
    # Row 0 drew 2 7 8 9: the first guess was right, so two codes stand.
    board.next[0] = 3
    strategy.learn(board, 0, 1, np.array([2, 3, 4]), np.array([2, 7, 8, 9]), 2)
    assert strategy.guess(board, 1, 3)[0, :3].tolist() == [8, 9, 6]
    # What goes beyond the end does not matter and does no harm.
    board.next[1] = 4
    strategy.learn(board, 1, 4, np.array([5, 4, 4]), np.array([11, 12, 13, 14]), 1)
    assert strategy.guess(board, 2, 5).shape == (2, 5)
    board.next[1] = 5
    assert strategy.guess(board, 2, 1)[1].tolist() == [12]


def test_guesses_move_with_their_row_and_a_new_picture_brings_its_own():
    board = board_of([1, 2, 3, 4], [5, 6, 7, 8])
    strategy = Speculative()
    strategy.begin(board)
    strategy.start(board, 0)
    strategy.start(board, 1)
    strategy.move(1, 0)
    board.move(1, 0)
    assert strategy.guess(board, 2, 3).tolist() == [[6, 7, 8], [6, 7, 8]]
    board.place(1, 2, Request(source_codes=torch.arange(4), text=torch.zeros(1, 1), seed=0))
    board.next[1] = 1
    strategy.start(board, 1)
    assert strategy.guess(board, 2, 3).tolist() == [[6, 7, 8], [1, 2, 3]]
    strategy.begin(board)
    assert not strategy.guess(board, 2, 3).any()


def test_more_guesses_are_expected_to_bring_more_up_to_a_limit():
    strategy = Speculative(most=16)
    expected = strategy.expect(np.array([1.0, 2.0, 8.0, 16.0, 64.0]))
    assert expected[0] == 1.0
    assert (np.diff(expected[:4]) > 0).all() and expected[3] == expected[4]


@pytest.mark.parametrize(("stands", "least", "most"), [(1, 1.0, 1.5), (4, 3.0, 5.0), (16, 15, 16)])
def test_what_is_expected_follows_what_stood(stands: int, least: float, most: float):
    board = board_of(list(range(64)))
    strategy = Speculative()
    strategy.begin(board)
    guesses = np.zeros(15, np.int64)
    for _ in range(200):
        strategy.learn(board, 0, 1, guesses, np.zeros(16, np.int64), stands)
    assert least <= strategy.expect(np.array([16.0]))[0] <= most
    curve = strategy.expect(np.arange(1.0, 65.0))
    assert (np.diff(curve) >= 0).all()
    assert (curve <= np.arange(1.0, 65.0) + 1e-9).all(), "never more than are looked at"


def test_passes_over_given_codes_and_past_the_end_teach_nothing():
    board = board_of(list(range(8)))
    board.forced[0, 1:] = 3
    strategy = Speculative()
    strategy.begin(board)
    before = strategy.expect(np.array([8.0]))
    picks = np.zeros(4, np.int64)
    strategy.learn(board, 0, 1, picks[:3], picks, 4)
    board.forced[0] = FREE
    strategy.learn(board, 0, 6, picks[:3], picks, 1)
    assert strategy.expect(np.array([8.0])) == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tiny_models_keep_their_codes_in_every_format(dtype: torch.dtype):
    model = packed_transformer(dtype=dtype, grid=6)
    requests = tiny_requests(model, 6)
    sampling = SamplingConfig(top_k=10)
    plain, _ = decode_all(model, requests, sampling, window=1)
    for rows, window in ((1, 7), (4, None)):
        codes, _ = decode_all(model, requests, sampling, Speculative(), rows=rows, window=window)
        assert torch.equal(codes, plain)


def painted(count: int, size: int) -> Tensor:
    """(count, 3, size, size) in [-1, 1]: soft colours with something round in the middle."""
    noise = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 4, 4, generator=noise)
    pixels = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    disc = (x**2 + y**2 < 0.3).float()
    colour = torch.rand(count, 3, 1, 1, generator=noise)
    return (pixels * (1 - disc) + colour * disc) * 2 - 1


def embedded() -> Path:
    folder = embedded_folder()
    if folder is None:
        pytest.skip("this checkout has no embedded model yet")
    return folder


def test_the_embedded_model_writes_the_codes_of_the_plain_order_in_fewer_passes():
    from editar_cli.checkpoints.native import load_bundle

    bundle = load_bundle(embedded())
    model = bundle.transformer
    model.prepare_for_decoding()
    with torch.inference_mode():
        codes = bundle.tokenizer.encode(painted(4, bundle.config.image_size)).flatten(1)
    instructions = ["make it snowy", "turn it into night", "leave it as it is", "add fog"]
    texts = bundle.text_encoder.encode(instructions)
    free = torch.zeros(bundle.config.transformer.grid, bundle.config.transformer.grid).bool()
    free[5:11, 4:12] = True
    masked = torch.where(free.flatten(), FREE, codes)
    sampling = bundle.config.sampling
    requests = [
        Request(source_codes=codes[i], text=texts[i], seed=seed)
        for i in range(4)
        for seed in (0, 1)
    ]
    rows = Rows(model, 8, sampling)
    plain, _ = decode_all(model, requests, sampling, rows=rows, window=1)
    found, passes = decode_all(model, requests, sampling, Speculative(), rows=rows, window=8)
    assert torch.equal(found, plain)
    assert sum(passes) <= 0.5 * codes.shape[1] * len(passes)
    # A mask of 48 cells: a pass brings two of them and more, and the rest needs none.
    one = [replace(requests[2 * i], forced=masked[i]) for i in range(4)]
    plain, _ = decode_all(model, one, sampling, rows=4, window=1)
    found, passes = decode_all(model, one, sampling, Speculative(), rows=4, window=16)
    assert torch.equal(found, plain)
    assert torch.equal(found[:, ~free.flatten()], codes[:, ~free.flatten()])
    assert sum(passes) <= 0.5 * int(free.sum()) * len(passes)
