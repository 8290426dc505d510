import math
from itertools import product

import pytest
import torch
from torch import Tensor

from editar_cli.conditioning import Dropped
from editar_cli.config import SamplingConfig
from editar_cli.decoding.rows import Rows
from editar_cli.models.attention import CPU_KEYS
from editar_cli.models.gpt import EditARTransformer
from editar_cli.sampling import sample
from editar_cli.training.editor import teacher_forcing
from tests.decoding.tiny_requests import packed_transformer
from tests.tiny_transformer import EQUAL_BITS, rounding, tiny_inputs, tiny_transformer

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
BRANCHES = [
    SamplingConfig(guidance=1.0),
    SamplingConfig(guidance=3.0),
    SamplingConfig(guidance=3.0, guidance_interval=7),
    SamplingConfig(guidance=3.0, image_guidance=2.0),
    SamplingConfig(guidance=1.5, image_guidance=2.0, guidance_interval=11),
]


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def written(model: EditARTransformer, batch: int) -> Tensor:
    """(B, S) codes that stand for the output."""
    return tiny_inputs(model, batch, seed=5)[0]


def read(
    rows: Rows, codes: Tensor, text: Tensor, output: Tensor, window: int, ragged: int | None = None
) -> Tensor:
    """(B, S, V) logits of all codes, ``window`` codes per pass.

    Args:
        rows: at least B.
        codes, text, output: of B pictures.
        window: codes per pass.
        ragged: a seed; rows then move on by different numbers of codes.
    """
    batch, total = codes.shape
    noise = torch.Generator().manual_seed(ragged or 0)
    found = torch.full((batch, total, rows.model.config.vocab_size), math.nan)
    found[:, 0] = rows.fill(0, codes, text)
    at = [0] * batch
    while min(at) < total - 1:
        # What lies beyond the end, and rows that are done, are fed something meaningless.
        index = torch.tensor(at)[:, None] + torch.arange(window)
        tokens = output.gather(1, index.clamp_max(total - 1)).masked_fill(index >= total - 1, 0)
        logits = rows.feed(tokens, at)
        assert logits.shape == (batch, window, rows.model.config.vocab_size)
        for row in range(batch):
            new = min(window, total - 1 - at[row])
            found[row, at[row] + 1 : at[row] + 1 + new] = logits[row, :new]
            if ragged is not None:
                new = min(new, int(torch.randint(1, window + 1, (), generator=noise)))
            at[row] += new
    return found


def read_alone(model: EditARTransformer, sampling: SamplingConfig, *inputs: Tensor) -> Tensor:
    """The plain order: each picture in a row of its own, one code per pass."""
    return torch.cat(
        [
            read(Rows(model, 1, sampling), *(x[i : i + 1] for x in inputs), 1)
            for i in range(len(inputs[0]))
        ]
    )


def teacher_forced(
    model: EditARTransformer, codes: Tensor, text: Tensor, output: Tensor, image: bool, words: bool
) -> Tensor:
    """Logits with image and text dropped where asked for."""
    count = len(codes)
    dropped = Dropped(image=torch.full((count,), image), text=torch.full((count,), words))
    return teacher_forcing(model, codes, output, text, dropped).logits


@pytest.mark.parametrize(("guidance", "interval", "guided"), GUIDANCES)
@pytest.mark.parametrize("packed", [False, True])
def test_logits_from_the_cache_are_the_teacher_forced_ones(
    guidance: float, interval: int | None, guided: int, packed: bool
):
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 3)
    output = written(model, 3)
    conditional = teacher_forced(model, codes, text, output, False, False)
    unconditional = teacher_forced(model, codes, text, output, False, True)
    expected = conditional.clone()
    mixed = unconditional + guidance * (conditional - unconditional)
    expected[:, :guided] = mixed[:, :guided]
    assert (conditional - unconditional).abs().mean() > 0.1, "the text must matter in this test"
    if packed:
        model.prepare_for_decoding()
    rows = Rows(model, 4, SamplingConfig(guidance=guidance, guidance_interval=interval))
    for window, ragged in ((1, None), (4, None), (15, None), (3, 0)):
        found = read(rows, codes, text, output, window, ragged)
        torch.testing.assert_close(found, expected, rtol=0, atol=rounding(guidance))


@pytest.mark.parametrize(
    ("guidance", "interval", "guided"), [*GUIDANCES[1:], (1.0, None, 16), (1.0, 3, 5)]
)
def test_image_guidance_mixes_three_branches_as_instruct_pix2pix_does(
    guidance: float, interval: int | None, guided: int
):
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 3)
    output = written(model, 3)
    conditional, unconditional, nothing = (
        teacher_forced(model, codes, text, output, image, words)
        for image, words in ((False, False), (False, True), (True, True))
    )
    assert (unconditional - nothing).abs().mean() > 0.1, "the image must matter in this test"
    mixed = nothing + 2.5 * (unconditional - nothing) + guidance * (conditional - unconditional)
    expected = conditional.clone()
    expected[:, :guided] = mixed[:, :guided]
    sampling = SamplingConfig(guidance=guidance, guidance_interval=interval, image_guidance=2.5)
    rows = Rows(model, 3, sampling)
    for window, ragged in ((1, None), (6, None), (4, 1)):
        found = read(rows, codes, text, output, window, ragged)
        torch.testing.assert_close(found, expected, rtol=0, atol=rounding(guidance, 2.5))


def test_image_guidance_of_one_is_text_guidance_alone():
    model = tiny_transformer()
    inputs = (*tiny_inputs(model, 2), written(model, 2))
    both = [
        read(Rows(model, 2, SamplingConfig(image_guidance=scale)), *inputs, 4)
        for scale in (None, 1.0)
    ]
    torch.testing.assert_close(both[0], both[1], rtol=0, atol=rounding(3.0))


def test_the_null_branch_never_sees_the_given_text():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 2)
    output = written(model, 2)

    def logits(text: Tensor, **settings: float) -> Tensor:
        return read(Rows(model, 2, SamplingConfig(**settings)), codes, text, output, 3)

    # At guidance 0 the null branch alone decides, beside the one that sees nothing.
    for settings in ({"guidance": 0.0}, {"guidance": 0.0, "image_guidance": 0.5}):
        assert torch.equal(logits(text, **settings), logits(-3 * text, **settings))
    assert not torch.equal(logits(text, guidance=1.0), logits(-3 * text, guidance=1.0))


def test_the_branch_that_sees_nothing_never_sees_the_image():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 2)
    output = written(model, 2)
    rows = Rows(model, 2, SamplingConfig(guidance=0.0, image_guidance=0.0))
    first = read(rows, codes, text, output, 3)
    assert torch.equal(read(rows, codes.flip(1), -text, output, 3), first)


def test_without_guidance_the_null_text_is_not_used():
    model = tiny_transformer()
    codes, text = tiny_inputs(model, 2)
    model.null_text.fill_(math.nan)
    model.null_image.fill_(math.nan)
    rows = Rows(model, 2, SamplingConfig(guidance=1.0))
    assert read(rows, codes, text, written(model, 2), 3).isfinite().all()


def test_after_the_interval_the_null_branch_has_no_say():
    model = tiny_transformer()
    inputs = (*tiny_inputs(model, 2), written(model, 2))
    plain = read(Rows(model, 2, SamplingConfig(guidance=1.0)), *inputs, 3)
    some = read(Rows(model, 2, SamplingConfig(guidance=9.0, guidance_interval=4)), *inputs, 3)
    torch.testing.assert_close(some[:, 6:], plain[:, 6:], rtol=0, atol=rounding())
    assert ((some[:, :6] - plain[:, :6]).abs().amax(dim=-1) > 0.1).all()


@EQUAL_BITS
@pytest.mark.parametrize("sampling", BRANCHES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_are_the_same_to_the_last_bit_for_any_window_and_rows(
    dtype: torch.dtype, sampling: SamplingConfig
):
    model = packed_transformer(dtype=dtype, grid=6)
    codes, text = tiny_inputs(model, 8)
    output = written(model, 8)
    plain = read_alone(model, sampling, codes, text, output)
    assert plain.isfinite().all()
    for batch, window in ((8, 1), (2, 2), (3, 3), (4, 5), (1, 7), (8, 10), (2, 17), (3, 33)):
        for ragged in (None, window):
            rows = Rows(model, batch, sampling)
            found = read(rows, codes[:batch], text[:batch], output[:batch], window, ragged)
            assert torch.equal(found, plain[:batch]), (batch, window, ragged)


@EQUAL_BITS
@pytest.mark.parametrize(
    "dtype",
    [
        pytest.param(
            torch.float32,
            marks=pytest.mark.xfail(
                reason="products over 256 or 320 keys are split elsewhere than those over others"
            ),
        ),
        torch.bfloat16,
    ],
)
def test_logits_are_the_same_to_the_last_bit_where_keys_are_many(dtype: torch.dtype):
    # 12 x 12 codes: from 192 to 448 cached positions, of which larger windows read more.
    model = packed_transformer(dtype=dtype, grid=12)
    inputs = [*tiny_inputs(model, 2), written(model, 2)]
    sampling = SamplingConfig(guidance=3.0)
    plain = read_alone(model, sampling, *inputs)
    for window in (16, 64, 143):
        found = read(Rows(model, 2, sampling), *inputs, window, window)
        assert torch.equal(found, plain), window


def test_rows_share_nothing():
    model = packed_transformer()
    sampling = SamplingConfig(guidance=3.0)
    codes, text = tiny_inputs(model, 3)
    output = written(model, 3)
    plain = read(Rows(model, 3, sampling), codes, text, output, 5)
    rows = Rows(model, 3, sampling)
    torch.testing.assert_close(
        rows.fill(2, codes[2:], text[2:]), plain[2:, 0], rtol=0, atol=rounding(3.0)
    )
    torch.testing.assert_close(
        rows.fill(0, codes[:2], text[:2]), plain[:2, 0], rtol=0, atol=rounding(3.0)
    )
    found = rows.feed(output[:, :8], [0, 0, 0])
    # The picture in the middle makes room for another.
    rows.fill(1, codes[:1], text[:1])
    later = rows.feed(output[[0, 0, 2], 8:11], [8, 0, 8])
    torch.testing.assert_close(found, plain[:, 1:9], rtol=0, atol=rounding(3.0))
    torch.testing.assert_close(later[[0, 2]], plain[[0, 2], 9:12], rtol=0, atol=rounding(3.0))


@pytest.mark.parametrize("sampling", BRANCHES)
def test_what_a_row_held_before_has_no_influence(sampling: SamplingConfig):
    model = packed_transformer()
    inputs = (*tiny_inputs(model, 2), written(model, 2))
    fresh = read(Rows(model, 2, sampling), *inputs, 4, ragged=3)
    used = Rows(model, 2, sampling)
    # Before it are the keys of texts, which stay zeros, and what all pictures share.
    used.cache.keys[:, :, :, used.layout.prefix :] = 1e4
    used.cache.values[:, :, :, used.layout.prefix :] = -1e6
    assert torch.equal(read(used, *inputs, 4, ragged=3), fresh)
    # ... and neither has another picture that went all the way.
    read(used, *(x.flip(0) for x in inputs), 7)
    assert torch.equal(read(used, *inputs, 4, ragged=3), fresh)


@pytest.mark.parametrize("sampling", BRANCHES)
def test_the_picture_of_a_row_is_taken_over_with_another_text(sampling: SamplingConfig):
    model = packed_transformer()
    codes, text = tiny_inputs(model, 2)
    output = written(model, 2)
    separate, shared = (Rows(model, 2, sampling) for _ in range(2))
    first = separate.fill(0, codes[[0, 0]], text)
    shared.fill(0, codes[:1], text[:1])
    for rows in (shared, separate):
        rows.feed(output[:1, :6], [0])
    assert torch.equal(shared.fill_again(0, 1, text[1:])[0], first[1])
    found, wanted = (rows.feed(output[:, 6:9], [6, 0]) for rows in (shared, separate))
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("sampling", BRANCHES)
def test_a_copied_row_goes_on_as_the_first_would(sampling: SamplingConfig):
    model = packed_transformer()
    codes, text = tiny_inputs(model, 3)
    output = written(model, 3)
    rows = Rows(model, 3, sampling)
    rows.fill(0, codes, text)
    rows.feed(output[:, :9], [0, 0, 0])
    rows.copy(2, 0)
    found = rows.feed(output[[2, 1, 2], 9:12], [9, 9, 9])
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


@pytest.mark.parametrize("sampling", BRANCHES)
def test_what_lies_beyond_the_end_is_ignored(sampling: SamplingConfig):
    model = packed_transformer()
    codes, text = tiny_inputs(model, 2)
    output = written(model, 2)
    found = []
    for beyond in (0, 17):
        rows = Rows(model, 2, sampling)
        rows.fill(0, codes, text)
        rows.feed(output[:, :10], [0, 0])
        tokens = torch.cat([output[:, 10:15], torch.full((2, 9), beyond)], dim=1)
        first = rows.feed(tokens, [10, 10])
        # The last code is never fed: a row that is done must not disturb the others.
        tokens[0] = beyond
        second = rows.feed(tokens, [15, 10])
        assert torch.equal(first[1, :5], second[1, :5])
        found.append(first[:, :5])
    assert torch.equal(*found)


@pytest.mark.parametrize("sampling", BRANCHES)
def test_logits_that_nobody_wants_are_left_out(sampling: SamplingConfig):
    model = packed_transformer()
    codes, text = tiny_inputs(model, 2)
    output = written(model, 2)
    rows = Rows(model, 2, sampling)
    rows.fill(0, codes, text)
    for first in ([0, 0], [3, 1]):
        whole = rows.feed(output[:, :9], first)
        for skip in (1, 5, 8):
            assert torch.equal(rows.feed(output[:, :9], first, skip), whole[:, skip:])


@pytest.mark.parametrize("sampling", BRANCHES)
def test_codes_are_drawn_from_the_logits(sampling: SamplingConfig):
    model = packed_transformer()
    codes, text = tiny_inputs(model, 3)
    output, seeds = written(model, 3), torch.tensor([5, 2**61, 7])
    rows = Rows(model, 3, sampling)
    rows.fill(0, codes, text)
    for first, skip in product(([0, 0, 0], [1, 5, 3], [13, 2, 9]), (0, 2)):
        logits = rows.feed(output[:, :4], first)
        coming = torch.tensor(first)[:, None] + torch.arange(1, 5)
        wanted = sample(logits, seeds[:, None], coming, sampling)
        assert torch.equal(rows.draw(output[:, :4], first, seeds, skip), wanted[:, skip:])
        branches, visible = rows.extent(first, 4)
        stepped = rows.step(output[:, :4], torch.tensor(first), seeds, branches, visible)
        assert torch.equal(stepped[0], wanted) and stepped[1] is None
        drawn, scores = rows.draw_scored(output[:, :4], first, seeds, skip)
        assert torch.equal(drawn, wanted[:, skip:])
        likely = logits.log_softmax(-1).gather(-1, wanted[..., None])[..., 0]
        assert torch.equal(scores[..., 0], likely[:, skip:])
        again = rows.step(output[:, :4], torch.tensor(first), seeds, branches, visible, scored=True)
        torch.testing.assert_close(again[1][:, skip:], scores)


def test_a_pass_reads_no_more_than_it_needs():
    model = packed_transformer(grid=12)
    rows = Rows(model, 2, SamplingConfig(guidance=3.0, guidance_interval=8))

    def multiple(positions: int) -> int:
        return -(-positions // CPU_KEYS) * CPU_KEYS

    # 144 of the image and two texts of two places; nine codes are fed to two branches.
    assert rows.extent([0, 0], 1) == (2, multiple(150))
    assert rows.extent([0, 8], 4) == (2, multiple(169))
    assert rows.extent([9, 9], 1) == (1, multiple(167))
    assert rows.extent([9, 140], 64) == (1, multiple(300))


def test_a_grid_of_one_code_needs_its_prefix_alone():
    model = tiny_transformer(grid=1)
    codes, text = tiny_inputs(model, 2)
    for sampling in BRANCHES:
        assert Rows(model, 2, sampling).fill(0, codes, text).isfinite().all()


@pytest.mark.parametrize("sampling", BRANCHES[1::2])
def test_bfloat16_stays_near_float32(sampling: SamplingConfig):
    exact, half = packed_transformer(), packed_transformer(dtype=torch.bfloat16)
    codes, text = tiny_inputs(exact, 2)
    output = written(exact, 2)
    wanted = read(Rows(exact, 2, sampling), codes, text, output, 4)
    found = read(Rows(half, 2, sampling), codes, text, output, 4)
    assert found.dtype == torch.float32
    assert (found - wanted).abs().mean() < 0.05 * wanted.std()


def test_the_cache_is_as_large_as_the_layout_says():
    model = packed_transformer(dtype=torch.bfloat16)
    rows = Rows(model, 3, SamplingConfig(guidance=3.0))
    assert rows.cache.keys.shape == (2, 3, 2, rows.layout.length, 16)
    assert rows.cache.keys.dtype == torch.bfloat16
