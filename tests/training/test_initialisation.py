import pytest
import torch
import torch.nn.functional as F

from editar_cli.conditioning import Dropped
from editar_cli.models.gpt import EditARTransformer, GPTConfig
from editar_cli.training.editor import teacher_forcing
from editar_cli.training.initialisation import initialise

SMALL = {"n_layer": 2, "n_head": 4, "dim": 128, "grid": 8, "vocab_size": 200}
MINI = {"n_layer": 6, "n_head": 8, "dim": 320, "grid": 16, "vocab_size": 4096}


def codebook(size: int) -> torch.Tensor:
    noise = torch.Generator().manual_seed(7)
    return F.normalize(torch.randn(size, 8, generator=noise), dim=-1)


def fresh(seed: int = 0, **shape: int) -> EditARTransformer:
    config = {**SMALL, **shape}
    model = EditARTransformer(GPTConfig(text_tokens=6, text_dim=16, **config)).eval()
    initialise(model, codebook(config["vocab_size"]), seed=seed)
    return model


def predictions(model: EditARTransformer, *, same: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Source codes and the codes predicted behind targets that equal the source, or do not."""
    c = model.config
    noise = torch.Generator().manual_seed(3)
    sources = torch.randint(c.vocab_size, (4, c.codes), generator=noise)
    others = torch.randint(c.vocab_size, (4, c.codes), generator=noise)
    text = torch.randn(4, c.text_tokens, c.text_dim, generator=noise)
    everything = Dropped.from_draw(torch.full((4,), 0.5))
    with torch.inference_mode():
        seen = teacher_forcing(model, sources, sources if same else others, text, everything)
    return sources, seen.logits.argmax(-1)


@pytest.mark.parametrize("shape", [SMALL, MINI], ids=["small", "mini"])
@pytest.mark.parametrize("same", [True, False], ids=["target-is-source", "target-is-other"])
def test_a_fresh_model_copies_the_source(shape: dict[str, int], same: bool):
    sources, predicted = predictions(fresh(**shape), same=same)
    right = (sources == predicted).float().mean(0).view(shape["grid"], -1)
    # The first cell of a row is written from the end of the row before: another displacement.
    assert right[:, 1:].mean() > 0.99
    assert right.mean() > (0.93 if shape is MINI else 0.86)


def test_codes_that_look_alike_start_alike():
    model = fresh()
    vectors = codebook(200)
    likeness = vectors @ vectors.T
    table = F.normalize(model.code_embedding.weight.detach(), dim=-1)
    off_diagonal = ~torch.eye(200, dtype=torch.bool)
    both = torch.stack([likeness[off_diagonal], (table @ table.T)[off_diagonal]])
    assert torch.corrcoef(both)[0, 1] > 0.95


def test_the_seed_decides():
    first, again, other = (fresh(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(
        first["blocks.0.mlp.gate_up.weight"], other["blocks.0.mlp.gate_up.weight"]
    )


def test_all_values_are_set_and_finite():
    model = fresh(adapter_dim=12)
    for name, value in model.state_dict().items():
        assert value.isfinite().all(), name
        if name not in ("null_text", "adapter.bias"):
            assert value.std() > 0 or (value == 1).all(), name
    # As long as a code embedding: shorter rows would be blown up by the norms.
    torch.testing.assert_close(model.null_image.norm(dim=-1), torch.full((64,), 128.0**0.5))


def test_every_block_learns_from_the_text():
    model = fresh()
    c = model.config
    noise = torch.Generator().manual_seed(3)
    sources = torch.randint(c.vocab_size, (2, c.codes), generator=noise)
    text = torch.randn(2, c.text_tokens, c.text_dim, generator=noise, requires_grad=True)
    seen = teacher_forcing(model, sources, sources, text, Dropped.from_draw(torch.full((2,), 0.5)))
    seen.hidden[:, c.codes // 2 :].square().sum().backward()
    assert text.grad is not None and (text.grad.abs().sum(-1) > 0).all()
