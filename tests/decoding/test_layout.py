import math

import pytest
import torch
from torch import Tensor

from editar_cli.config import SamplingConfig
from editar_cli.decoding.layout import (
    CONDITIONAL,
    NOTHING,
    TEXT_PLACES,
    TEXTLESS,
    Layout,
    guided_codes,
    text_weights,
)
from editar_cli.models.attention import CPU_KEYS
from tests.tiny_transformer import tiny_transformer

CPU = torch.device("cpu")
LAYOUTS = [
    Layout(codes=codes, text_tokens=5, branches=branches, paired=paired)
    for codes in (1, 2, 9, 64)
    for branches, paireds in ((1, (0,)), (2, (0, 1, 8, 63)), (3, (0, 1, 5, 63)))
    for paired in paireds
    if paired < codes
]


def pattern(bias: Tensor, weights: Tensor) -> str:
    """``0`` sees plainly, ``a`` and ``b`` with the weights of a text, ``.`` does not see."""
    signs = {0.0: "0", float(weights[0]): "a", float(weights[1]): "b", -math.inf: "."}
    return "".join(signs[value] for value in bias.tolist())


def patterns(layout: Layout, code: int) -> list[str]:
    # Both weights of a text are finite in bfloat16; in float32 one may do.
    bias = layout.bias(CPU, torch.bfloat16)[code, :, : layout.spare + 1]
    weights = text_weights(layout.text_tokens, torch.bfloat16)
    return [pattern(row, weights) for row in bias]


@pytest.mark.parametrize(
    ("guidance", "image_guidance", "interval", "guided", "branches"),
    [
        (1.0, None, None, 0, 1),
        (1.0, None, 5, 0, 1),
        (3.0, None, None, 16, 2),
        (0.0, None, None, 16, 2),
        (7.5, None, 0, 2, 2),
        (7.5, None, 5, 7, 2),
        (7.5, None, 13, 15, 2),
        (7.5, None, 14, 16, 2),
        (7.5, None, 200, 16, 2),
        (1.0, 1.0, None, 16, 3),
        (1.0, 2.5, 3, 5, 3),
    ],
)
def test_guidance_decides_on_branches_and_guided_codes(
    guidance: float, image_guidance: float | None, interval: int | None, guided: int, branches: int
):
    sampling = SamplingConfig(
        guidance=guidance, image_guidance=image_guidance, guidance_interval=interval
    )
    assert guided_codes(sampling, 16) == guided
    layout = Layout.of(tiny_transformer().config, sampling)
    assert layout == Layout(
        codes=16, text_tokens=5, branches=branches, paired=max(0, guided - 1)
    )  # fmt: skip


def test_branches_share_the_image_and_nothing_else():
    # three of the image | text | null text | c0 t0 | c1 | the spare place
    layout = Layout(codes=3, text_tokens=7, branches=2, paired=1)
    assert patterns(layout, 0)[CONDITIONAL] == "000ab..0..."
    assert patterns(layout, 0)[TEXTLESS] == "000..ab.0.."
    # From here on the conditional branch is alone.
    assert patterns(layout, 1)[CONDITIONAL] == "000ab..0.0."


def test_a_branch_that_sees_nothing_has_a_prefix_of_its_own():
    # two of the image | text | null text | null image, null text | c0 t0 n0 | the spare place
    layout = Layout(codes=2, text_tokens=7, branches=3, paired=1)
    assert patterns(layout, 0) == [
        "00" "ab" ".." "..." "." "0.." ".",
        "00" ".." "ab" "..." "." ".0." ".",
        "......" "00" "ab" "..0" ".",
    ]  # fmt: skip


def test_without_guidance_there_is_one_text_and_one_branch():
    layout = Layout(codes=4, text_tokens=7, branches=1, paired=0)
    assert [patterns(layout, code) for code in range(4)] == [
        ["0000" "ab" "0..."],
        ["0000" "ab" "00.."],
        ["0000" "ab" "000."],
        ["0000" "ab" "000."],
    ]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_codes_are_kept_one_behind_another_without_gaps(layout: Layout):
    places = layout.places(CPU)
    assert places.shape == (layout.codes, layout.branches)
    kept = [place for row in places.tolist() for place in row if place != layout.spare]
    assert kept == list(range(layout.prefix, layout.spare))
    for fed in range(layout.codes):
        before = [place for place in places[:fed].flatten().tolist() if place != layout.spare]
        assert layout.end(fed) == layout.prefix + len(before)
    assert (places[layout.codes - 1] == layout.spare).all(), "the last code is never fed"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_code_sees_its_prefix_and_its_own_branch_up_to_itself(layout: Layout):
    places = layout.places(CPU)
    seen = layout.bias(CPU, torch.bfloat16).isfinite()
    s, texts = layout.codes, TEXT_PLACES
    for code in range(s):
        for branch in range(layout.branches):
            image = set(range(s)) if branch != NOTHING else set(range(s + 2 * texts, 2 * s + 4))
            text = {CONDITIONAL: s, TEXTLESS: s + texts, NOTHING: 2 * s + 2 * texts}[branch]
            wanted = image | set(range(text, text + texts))
            wanted |= {int(place) for place in places[: code + 1, branch]} - {layout.spare}
            assert set(seen[code, branch].nonzero().flatten().tolist()) == wanted


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_row_holds_codes_and_whole_texts_and_ends_where_attention_likes(layout: Layout):
    needed = max(layout.spare + 1, layout.prefix + layout.texts * layout.text_tokens)
    assert layout.length % CPU_KEYS == 0
    assert needed <= layout.length < needed + CPU_KEYS
    assert layout.bias(CPU, torch.float32).shape == (layout.codes, layout.branches, layout.length)


def test_what_is_read_is_the_smallest_multiple():
    layout = LAYOUTS[0]
    assert [layout.visible(n * CPU_KEYS + m) // CPU_KEYS for n in (1, 5) for m in (-1, 0, 1)] == [
        1, 1, 2, 5, 5, 6,
    ]  # fmt: skip


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_texts_see_the_image_and_themselves(branches: int):
    layout = Layout(codes=2, text_tokens=3, branches=branches, paired=0)
    bias = layout.text_bias(CPU, torch.float32)
    assert bias.shape[:2] == (1, 1) and bias.shape[3] % CPU_KEYS == 0
    gap = "." * (layout.prefix - 2)
    given = ["0..", "00.", "000"]
    wanted = ["00" + gap + text + ("..." if branches > 1 else "") for text in given]
    if branches > 1:
        wanted += ["00" + gap + "..." + text for text in given]
    found = [
        "".join("0" if value == 0 else "." for value in row.tolist())
        for row in bias[0, 0, :, : len(wanted[0])]
    ]
    assert found == wanted
    assert (bias[..., len(wanted[0]) :] == -math.inf).all()


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 3e-4), (torch.float16, 1e-5)]
)
def test_two_rounded_weights_add_up_to_the_texts_length(dtype: torch.dtype, error: float):
    for tokens in range(1, 600):
        weights = text_weights(tokens, dtype)
        assert torch.equal(weights.to(dtype).float(), weights)
        assert float(weights.double().exp().sum()) == pytest.approx(tokens, rel=error)


def test_one_key_of_zeros_with_a_weight_stands_for_a_text_of_zeros():
    noise = torch.Generator().manual_seed(0)
    values = torch.randn(7, 4, generator=noise)
    scores = torch.randn(3, generator=noise)
    others = torch.randn(3, 4, generator=noise)
    whole = torch.cat([scores, torch.zeros(7)]).softmax(0) @ torch.cat([others, values])
    weights = text_weights(7, torch.float32)
    mean = values.mean(dim=0, keepdim=True).expand(TEXT_PLACES, -1)
    short = torch.cat([scores, weights]).softmax(0) @ torch.cat([others, mean])
    torch.testing.assert_close(short, whole, rtol=0, atol=1e-5)


def test_masks_come_in_the_format_that_is_asked_for():
    layout = Layout(codes=4, text_tokens=3, branches=2, paired=3)
    for dtype in (torch.float32, torch.bfloat16):
        assert layout.bias(CPU, dtype).dtype == dtype
        assert layout.text_bias(CPU, dtype).dtype == dtype
    assert layout.bias(torch.device("meta"), torch.float32).is_meta
