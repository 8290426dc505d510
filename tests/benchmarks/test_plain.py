import pytest
import torch

from editar_cli.benchmarks.plain import PlainDecoder, multinomial
from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import Request, decode
from editar_cli.decoding.sequential import Sequential
from editar_cli.decoding.speculative import Speculative
from editar_cli.models.gpt import EditARTransformer
from editar_cli.sampling import guide, sample
from tests.tiny_transformer import tiny_inputs, tiny_transformer

SEEDS = torch.tensor([3, 2**62 + 11, 5])


def by_the_engine(
    model: EditARTransformer, sampling: SamplingConfig, strategy: Sequential | Speculative
) -> torch.Tensor:
    """Codes of three pictures, two at a time, with the layers that the engine puts in."""
    source, text = tiny_inputs(model, 3)
    model.prepare_for_decoding()
    requests = [Request(source_codes=source[i], text=text[i], seed=int(SEEDS[i])) for i in range(3)]
    done = sorted(decode(model, requests, sampling, strategy, rows=2), key=lambda d: d.index)
    return torch.stack([decoded.codes for decoded in done])


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize(
    "drawing", [{"temperature": 0.0}, {"top_k": 0}, {"top_k": 7, "top_p": 0.8}]
)
def test_the_engine_writes_the_codes_of_the_plain_way(guidance: float, drawing: dict):
    sampling = SamplingConfig(guidance=guidance, **drawing)
    model = tiny_transformer()
    plain = PlainDecoder(model, 3, sampling, draw=sample)
    codes = plain.decode(*tiny_inputs(model, 3), SEEDS)
    assert codes.shape == (3, 16) and len(codes.unique()) > 3
    for strategy in (Sequential(), Speculative()):
        assert torch.equal(by_the_engine(model, sampling, strategy), codes)


def test_guidance_ends_where_the_engine_ends_it():
    model = tiny_transformer()
    found = []
    for interval in (None, 5):
        sampling = SamplingConfig(guidance=6.0, guidance_interval=interval, temperature=0.0)
        found.append(
            PlainDecoder(model, 3, sampling, draw=sample).decode(*tiny_inputs(model, 3), SEEDS)
        )
    assert not torch.equal(*found)
    sampling = SamplingConfig(guidance=6.0, guidance_interval=5, temperature=0.0)
    assert torch.equal(by_the_engine(model, sampling, Sequential()), found[1])


def test_both_branches_carry_the_whole_sequence_in_a_cache_of_full_length():
    model = tiny_transformer()
    for guidance, rows in ((1.0, 3), (2.0, 6)):
        plain = PlainDecoder(model, 3, SamplingConfig(guidance=guidance))
        assert len(plain.caches) == 2
        assert plain.caches[0].shape == (2, rows, 2, 16 + 5 + 16, 16)
        assert plain.nbytes == 2 * 2 * rows * 37 * 32 * 4
        plain.prefill(*tiny_inputs(model, 3), SEEDS)
        used = plain.caches[1].abs().sum(dim=(0, 1, 2, 4)) > 0
        # Text keys vanish but its values do not.
        assert used.tolist() == [True] * 21 + [False] * 16


def test_branches_are_mixed_as_guidance_says():
    model = tiny_transformer()
    source, text = tiny_inputs(model, 2)
    seen = []

    def keep(logits: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(logits)
        return logits.argmax(-1)

    for guidance in (1.0, 0.0, 2.5):
        PlainDecoder(model, 2, SamplingConfig(guidance=guidance), draw=keep).prefill(
            source, text, SEEDS[:2]
        )
    conditional, unconditional, mixed = seen
    assert (conditional - unconditional).abs().mean() > 0.1
    torch.testing.assert_close(mixed, guide(conditional, unconditional, 2.5), rtol=0, atol=1e-4)


def test_the_published_draw_follows_the_filtered_probabilities():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().expand(4000, -1)
    torch.manual_seed(0)
    codes = multinomial(logits, SEEDS, 0, SamplingConfig(top_k=3))
    shares = codes.bincount(minlength=4) / 4000
    torch.testing.assert_close(
        shares, torch.tensor([0.5, 0.3, 0.15, 0.0]) / 0.95, rtol=0, atol=0.03
    )
    greedy = multinomial(logits, SEEDS, 0, SamplingConfig(temperature=0.0))
    assert greedy.eq(0).all()
