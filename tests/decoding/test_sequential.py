import math

import numpy as np
import pytest
import torch
from torch import Tensor

from editar_cli.conditioning import Dropped
from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import Board, Request
from editar_cli.decoding.decoder import decode as decode_stream
from editar_cli.decoding.rows import Rows
from editar_cli.decoding.sequential import Sequential
from editar_cli.models.gpt import EditARTransformer
from editar_cli.training.editor import teacher_forcing
from tests.decoding.tiny_requests import decode_all, packed_transformer, tiny_requests
from tests.tiny_transformer import rounding, tiny_inputs, tiny_transformer

SEEDS = torch.tensor([3, 2**62 + 11, 5, 6, 2**40, 8, 9, 10])
# (guidance, interval, number of guided codes of 16)
GUIDANCES = [
    (1.0, None, 0),
    (3.0, None, 16),
    (0.0, None, 16),
    (7.5, 0, 2),
    (7.5, 5, 7),
    (7.5, 13, 15),
    (7.5, 14, 16),
    (7.5, 200, 16),
]


def decode(
    model: EditARTransformer,
    codes: Tensor,
    text: Tensor,
    seeds: Tensor | None = None,
    *,
    strategy=Sequential,
    rows: int | None = None,
    window: int | None = None,
    forced: Tensor | None = None,
    on_codes=lambda count: None,
    **settings,
) -> Tensor:
    seeds = SEEDS[: len(codes)] if seeds is None else seeds
    requests = [
        Request(
            source_codes=codes[i],
            text=text[i],
            seed=int(seeds[i]),
            forced=None if forced is None else forced[i],
        )
        for i in range(len(codes))
    ]
    found = list(
        decode_stream(
            model, requests, SamplingConfig(**settings), strategy(),
            rows=rows or len(codes), window=window, on_codes=on_codes,
        )
    )  # fmt: skip
    found.sort(key=lambda done: done.index)
    return torch.stack([done.codes for done in found])


def recorded_logits(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The guided logits of every code, in order, as sampling sees them."""
    seen: list[Tensor] = []
    fill, feed = Rows.fill, Rows.feed

    def recording_fill(self, *args):
        seen.append(fill(self, *args))
        return seen[-1]

    def recording_feed(self, *args):
        logits = feed(self, *args)
        seen.append(logits[:, 0])
        return logits

    monkeypatch.setattr(Rows, "fill", recording_fill)
    monkeypatch.setattr(Rows, "feed", recording_feed)
    return seen


@pytest.mark.parametrize(("guidance", "interval", "guided"), GUIDANCES)
def test_logits_from_the_cache_are_the_teacher_forced_ones(
    monkeypatch: pytest.MonkeyPatch, guidance: float, interval: int | None, guided: int
):
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 3)
    seen = recorded_logits(monkeypatch)
    written = decode(model, codes, text, guidance=guidance, guidance_interval=interval)

    def uncached(drop_text: bool) -> Tensor:
        dropped = Dropped(image=torch.zeros(3).bool(), text=torch.full((3,), drop_text))
        with torch.inference_mode():
            return teacher_forcing(model, codes, written, text, dropped).logits

    conditional, unconditional = uncached(False), uncached(True)
    expected = conditional.clone()
    mixed = unconditional + guidance * (conditional - unconditional)
    expected[:, :guided] = mixed[:, :guided]
    assert (conditional - unconditional).abs().mean() > 0.1, "the text must matter in this test"
    torch.testing.assert_close(torch.stack(seen, dim=1), expected, rtol=0, atol=rounding(guidance))


def test_greedy_codes_are_the_most_likely_ones_of_a_plain_pass():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 3)
    written = decode(model, codes, text, guidance=1.0, temperature=0.0)
    everything = Dropped.from_draw(torch.full((3,), 0.5))
    with torch.inference_mode():
        logits = teacher_forcing(model, codes, written, text, everything).logits
    assert torch.equal(logits.argmax(-1), written)
    assert written.shape == codes.shape and written.dtype == torch.int64


def test_the_null_branch_never_sees_the_given_text():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 3)
    # At guidance 0 the null branch alone decides.
    first = decode(model, codes, text, guidance=0.0)
    assert torch.equal(decode(model, codes, -3 * text, guidance=0.0), first)
    assert not torch.equal(decode(model, codes, -3 * text, guidance=1.0), first)


def test_without_guidance_the_null_text_is_not_used():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 3)
    first = decode(model, codes, text, guidance=1.0)
    model.null_text.fill_(math.nan)
    assert torch.equal(decode(model, codes, text, guidance=1.0), first)


def test_after_the_interval_the_null_branch_has_no_say():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 3)
    plain = decode(model, codes, text, guidance=1.0, temperature=0.0)
    short, full = (
        decode(model, codes, text, guidance=9.0, temperature=0.0, guidance_interval=n)
        for n in (0, None)
    )
    assert not torch.equal(short, full) and not torch.equal(short, plain)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_codes_do_not_depend_on_batch_size_or_order(guidance: float):
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 8)
    whole = decode(model, codes, text, guidance=guidance)
    for size in (1, 3):
        parts = [
            decode(model, codes[i : i + size], text[i : i + size], SEEDS[i : i + size],
                   guidance=guidance)
            for i in range(0, 8, size)
        ]  # fmt: skip
        assert torch.equal(torch.cat(parts), whole)
    order = torch.tensor([5, 2, 7, 0, 3, 6, 1, 4])
    shuffled = decode(model, codes[order], text[order], SEEDS[order], guidance=guidance)
    assert torch.equal(shuffled, whole[order])


def test_the_seed_decides_and_nothing_else_that_is_random():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 3)
    torch.manual_seed(1)
    first = decode(model, codes, text)
    torch.manual_seed(2)
    assert torch.equal(decode(model, codes, text), first)
    other = decode(model, codes, text, SEEDS[:3] + torch.tensor([0, 1, 2**32]))
    assert torch.equal(other[0], first[0])
    assert (other[1:] != first[1:]).float().mean(dim=1).min() > 0.3


def test_greedy_codes_do_not_depend_on_the_seed():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 3)
    first = decode(model, codes, text, temperature=0.0)
    assert torch.equal(decode(model, codes, text, SEEDS[3:6], temperature=0.0), first)


def test_every_code_is_reported():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 1)
    seen: list[int] = []
    decode(model, codes, text, on_codes=seen.append)
    assert sum(seen) == 16 and max(seen) == 1


def test_a_grid_of_one_code_works():
    model = tiny_transformer(grid=1)
    codes, text = tiny_inputs(model, 2)
    for guidance in (1.0, 3.0):
        assert decode(model, codes, text, guidance=guidance).shape == (2, 1)


def test_bfloat16_decodes_to_codes_of_the_codebook():
    model = tiny_transformer().to(torch.bfloat16)
    model.reset_derived()
    codes, text = tiny_inputs(model, 3)
    written = decode(model, codes, text)
    assert written.shape == codes.shape
    assert written.min() >= 0 and written.max() < model.config.vocab_size


@pytest.mark.parametrize(("guidance", "interval", "guided"), [(1.0, None, 16), (3.0, 5, 7)])
def test_image_guidance_mixes_three_branches_as_instruct_pix2pix_does(
    monkeypatch: pytest.MonkeyPatch, guidance: float, interval: int | None, guided: int
):
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 3)
    seen = recorded_logits(monkeypatch)
    written = decode(
        model, codes, text, guidance=guidance, guidance_interval=interval, image_guidance=2.5
    )

    def uncached(image: bool, words: bool) -> Tensor:
        dropped = Dropped(image=torch.full((3,), image), text=torch.full((3,), words))
        with torch.inference_mode():
            return teacher_forcing(model, codes, written, text, dropped).logits

    conditional, unconditional = uncached(False, False), uncached(False, True)
    nothing = uncached(True, True)
    assert (unconditional - nothing).abs().mean() > 0.1, "the image must matter in this test"
    mixed = nothing + 2.5 * (unconditional - nothing) + guidance * (conditional - unconditional)
    expected = conditional.clone()
    expected[:, :guided] = mixed[:, :guided]
    torch.testing.assert_close(
        torch.stack(seen, dim=1), expected, rtol=0, atol=rounding(guidance, 2.5)
    )


def test_image_guidance_of_one_is_text_guidance_alone():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 2)
    both = [decode(model, codes, text, guidance=3.0, image_guidance=s) for s in (None, 1.0)]
    torch.testing.assert_close(both[0], both[1], rtol=0, atol=0)


def test_a_pass_brings_one_code_and_the_first_comes_off_the_prefix():
    model = packed_transformer()
    requests = tiny_requests(model, 3)
    # Zeros are guessed: a window may find some right, codes alone never.
    codes, passes = decode_all(model, requests, SamplingConfig(), window=1)
    assert passes == [15, 15, 15]
    for rows, window in ((3, None), (2, 5)):
        found, fewer = decode_all(model, requests, SamplingConfig(), rows=rows, window=window)
        assert torch.equal(found, codes) and max(fewer) <= 15


def test_one_code_is_expected_to_stand_however_many_are_read():
    assert Sequential().expect(np.array([0.0, 1.0, 2.0, 64.0])).tolist() == [0.0, 1.0, 1.0, 1.0]
    assert not Sequential().guess(Board(3, 16), 2, 5).any()
