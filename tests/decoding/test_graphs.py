from itertools import product

import pytest
import torch

from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import FREE, Request, decode
from editar_cli.decoding.graphs import Shape, StepGraphs
from editar_cli.decoding.rows import Rows
from editar_cli.decoding.sequential import Sequential
from editar_cli.decoding.speculative import Speculative
from tests.tiny_transformer import tiny_inputs, tiny_transformer

SETTINGS = [
    SamplingConfig(guidance=1.0, top_k=0),
    SamplingConfig(guidance=3.0, top_k=12),
    SamplingConfig(guidance=3.0, guidance_interval=4, top_p=0.9),
    SamplingConfig(guidance=2.0, image_guidance=1.5, guidance_interval=6),
]


def requests(model, count):
    codes, text = tiny_inputs(model, count)
    forced = torch.where(torch.arange(16) % 5 < 2, codes, FREE)
    return [
        Request(source_codes=codes[i], text=text[i], seed=i, forced=forced[i] if i % 2 else None)
        for i in range(count)
    ]


@pytest.mark.parametrize("sampling", SETTINGS)
def test_rounded_shapes_draw_the_codes_of_exact_ones(sampling: SamplingConfig):
    model = tiny_transformer()
    plain = {
        d.index: d.codes for d in decode(model, requests(model, 7), sampling, Sequential(), rows=7)
    }
    for strategy, count in product((Sequential, Speculative), (1, 3, 5)):
        rows = Rows(model, count, sampling)
        rows.graphs = StepGraphs(rows)
        for done in decode(model, requests(model, 7), sampling, strategy(), rows=rows):
            assert torch.equal(done.codes, plain[done.index])


def test_shapes_are_few():
    model = tiny_transformer(grid=16, text_tokens=24)
    rows = Rows(model, 6, SamplingConfig())
    graphs = StepGraphs(rows)
    shapes = {
        graphs.shape([first] * batch, count)
        for first, batch, count in product(range(255), range(1, 7), range(1, 65))
    }
    # 4 row counts, 7 code counts, at most 4 lengths.
    assert len(shapes) <= 4 * 7 * 4
    length = rows.layout.length
    for shape in shapes:
        assert shape.rows in (1, 2, 4, 6) and shape.visible <= length
    assert graphs.shape([254] * 5, 33) == Shape(6, 64, 2, length)


def test_every_code_a_pass_needs_is_within_what_its_shape_reads():
    model = tiny_transformer(grid=8, text_tokens=5)
    rows = Rows(model, 2, SamplingConfig())
    graphs = StepGraphs(rows)
    for first, count in product(range(63), (1, 5, 40)):
        shape = graphs.shape([first, 0], count)
        assert shape.visible >= rows.extent([first, 0], count)[1]
        assert shape.count >= count


def test_a_shape_is_captured_when_it_comes_up_again(monkeypatch: pytest.MonkeyPatch):
    model = tiny_transformer()
    rows = Rows(model, 2, SamplingConfig())
    graphs = StepGraphs(rows)
    assert not graphs.capturing, "there is nothing to capture on a CPU"
    graphs.capturing = True
    captures: list[Shape] = []

    def capture(shape, codes, first, seeds):
        captures.append(shape)

    monkeypatch.setattr(graphs, "_capture", capture)
    with torch.inference_mode():
        for count in (1, 1, 2, 1, 2):
            graphs.draw(torch.zeros(1, count, dtype=torch.int64), [0], torch.zeros(1).long())
        assert [shape.count for shape in captures] == [1, 1, 2]
        for _ in range(2):
            _, scores = graphs.draw(
                torch.zeros(1, 2, dtype=torch.int64), [0], torch.zeros(1).long(), scored=True
            )
            assert scores is not None and scores.shape == (1, 2, 2)
    assert [shape.scored for shape in captures] == [False] * 3 + [True]


def test_without_capture_passes_go_on(monkeypatch: pytest.MonkeyPatch):
    model = tiny_transformer()
    rows = Rows(model, 1, SamplingConfig())
    graphs = StepGraphs(rows)
    graphs.capturing = True

    def refuse(*args):
        raise RuntimeError("no driver")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", refuse)
    codes, seeds = torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1).long()
    with torch.inference_mode():
        first, scores = graphs.draw(codes, [0], seeds)
        assert torch.equal(graphs.draw(codes, [0], seeds)[0], first) and scores is None
    assert not graphs.capturing
