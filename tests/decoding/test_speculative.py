from itertools import product

import numpy as np
import pytest
import torch

from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import FREE
from editar_cli.decoding.speculative import Speculative
from tests.decoding.tiny_requests import decode_all, packed_transformer, tiny_requests

SETTINGS = {
    "one branch": SamplingConfig(guidance=1.0, top_k=0),
    "guidance": SamplingConfig(guidance=3.0, temperature=0.5, top_k=12),
    "interval": SamplingConfig(guidance=3.0, guidance_interval=5, top_p=0.8),
    "image guidance": SamplingConfig(guidance=2.0, image_guidance=1.5, top_k=20),
    "image guidance, interval": SamplingConfig(
        guidance=1.0, image_guidance=2.0, guidance_interval=3
    ),
    "greedy": SamplingConfig(temperature=0.0),
}
PICTURES = 24


def masks(kind: str, codes: torch.Tensor) -> list[torch.Tensor | None] | None:
    if kind == "free":
        return None
    free = torch.rand(codes.shape, generator=torch.Generator().manual_seed(3)) < 0.4
    free[0], free[1] = False, True
    free[2, 0], free[3, -1], free[4, 3:12] = False, False, False
    forced = torch.where(free, FREE, codes)
    return [None if i % 5 == 4 else forced[i] for i in range(len(codes))]


@pytest.mark.parametrize("kind", ["free", "masks"])
@pytest.mark.parametrize("name", SETTINGS)
def test_codes_are_those_of_the_plain_order(name: str, kind: str):
    # 12 combinations of 24 pictures with seeds of their own, each in 6 ways.
    model, sampling = packed_transformer(seed=len(name)), SETTINGS[name]
    requests = tiny_requests(model, PICTURES, seed=len(name))
    codes = torch.stack([request.source_codes for request in requests])
    requests = tiny_requests(model, PICTURES, seed=len(name), forced=masks(kind, codes))
    plain, passes = decode_all(model, requests, sampling, rows=3)
    for rows, window in ((1, None), (2, 5), (3, 64), (5, None), (8, 2), (8, None)):
        found, fewer = decode_all(
            model, requests, sampling, Speculative(), rows=rows, window=window
        )
        assert torch.equal(found, plain), (rows, window)
    assert sum(fewer) <= sum(passes)
    if kind == "masks":
        assert passes[0] == 0, "everything was given"
        for request, found in zip(requests, plain, strict=True):
            if request.forced is not None:
                given = request.forced != FREE
                assert torch.equal(found[given], request.forced[given])


def test_a_source_that_is_kept_takes_few_passes():
    # A head that only ever says the source's code: every guess is right.
    model = packed_transformer()
    requests = tiny_requests(model, 3)
    sampling = SamplingConfig(guidance=1.0, temperature=0.0)
    written, _ = decode_all(model, requests, sampling)
    again = [
        type(request)(source_codes=codes, text=request.text, seed=request.seed)
        for request, codes in zip(requests, written, strict=True)
    ]
    strategy = Speculative()
    for one in again:
        codes, passes = decode_all(model, [one], sampling, strategy, window=16)
        assert passes[0] <= 15 and codes.shape == (1, 16)


def test_more_guesses_are_expected_to_bring_more_up_to_a_limit():
    strategy = Speculative(most=16)
    expected = strategy.expect(np.array([1.0, 2.0, 8.0, 16.0, 64.0]))
    assert expected[0] == 1.0
    assert (np.diff(expected[:4]) > 0).all() and expected[3] == expected[4]


def test_runs_of_given_codes_enter_in_one_pass():
    model = packed_transformer()
    requests = tiny_requests(model, 1)
    forced = requests[0].source_codes.clone()
    forced[[0, 15]] = FREE
    requests = tiny_requests(model, 1, forced=[forced])
    _, passes = decode_all(model, requests, SamplingConfig())
    assert passes == [1], "the first code comes off the prefix, the last behind 14 given ones"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_windows_and_rows_are_free_choices_in_every_format(dtype: torch.dtype):
    model = packed_transformer(dtype=dtype, grid=6)
    requests = tiny_requests(model, 4)
    for rows, window in product((1, 4), (1, 7)):
        codes, _ = decode_all(
            model, requests, SamplingConfig(top_k=10), Speculative(), rows=rows, window=window
        )
        assert codes.min() >= 0 and codes.max() < model.config.vocab_size
