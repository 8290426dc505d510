import json
import re
from typing import Any

import pytest
import torch

from editar_cli.models.presets import VQ16
from editar_cli.models.vq import Downsample, VQConfig, VQTokenizer
from editar_cli.tensorfiles import module_shapes, without_weights
from tests.golden_files import SHIPPED, golden_tensors, golden_tokenizer

SMALL: dict[str, Any] = {
    "codebook_size": 50,
    "codebook_dim": 6,
    "channels": 8,
    "channel_multipliers": (1, 2, 2),
    "res_blocks": 1,
    "latent_channels": 12,
    "norm_groups": 4,
}


def tokenizer(**changes: Any) -> VQTokenizer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VQTokenizer(VQConfig(**{**SMALL, **changes})).eval()


def pixels(batch: int, height: int, width: int) -> torch.Tensor:
    noise = torch.Generator().manual_seed(batch + height + width)
    return torch.rand(batch, 3, height, width, generator=noise) * 2 - 1


def test_vq16_has_the_names_shapes_and_count_of_the_published_file():
    with without_weights():
        shapes = module_shapes(VQTokenizer(VQ16))
    published = json.loads((SHIPPED / "vq16.json").read_text())["shapes"]
    published.pop("quantize.codebook_used", None)
    assert shapes == {name: tuple(shape) for name, shape in published.items()}
    count = sum(torch.Size(shape).numel() for shape in shapes.values())
    assert count == 71_883_403


@pytest.mark.parametrize("size", [(4, 4), (8, 20), (28, 12)])
def test_any_grid_works(size: tuple[int, int]):
    model = tokenizer()
    height, width = size
    with torch.inference_mode():
        codes = model.encode(pixels(2, height, width))
        assert codes.shape == (2, height // 4, width // 4)
        assert codes.dtype == torch.int64 and codes.min() >= 0 and codes.max() < 50
        assert model.decode(codes).shape == (2, 3, height, width)


@pytest.mark.parametrize(
    ("changes", "downsampling"),
    [
        ({"channel_multipliers": (1,)}, 1),
        ({"channel_multipliers": (1, 3)}, 2),
        ({"channel_multipliers": (1, 1, 1, 2), "channels": 12, "res_blocks": 2}, 8),
        ({"channels": 16, "norm_groups": 1, "codebook_dim": 3}, 4),
    ],
)
def test_any_width_and_downsampling_works(changes: dict[str, Any], downsampling: int):
    model = tokenizer(**changes)
    assert model.config.downsampling == downsampling
    with torch.inference_mode():
        codes = model.encode(pixels(1, 16, 24))
        assert codes.shape == (1, 16 // downsampling, 24 // downsampling)
        assert model.decode(codes).shape == (1, 3, 16, 24)


def test_a_size_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"\(16, 18\) are not divisible by 4"):
        tokenizer().encode(pixels(1, 16, 18))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"codebook_size": 0}, "must be positive"),
        ({"channel_multipliers": ()}, "must be positive"),
        ({"norm_groups": 3}, "norm_groups 3 does not divide"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        VQConfig(**{**SMALL, **changes})


def test_multipliers_from_a_list_make_an_equal_configuration():
    assert VQConfig(**{**SMALL, "channel_multipliers": [1, 2, 2]}) == VQConfig(**SMALL)


def test_a_code_is_the_nearest_vector_on_the_unit_sphere():
    model = tokenizer()
    latents = torch.randn(2, 6, 3, 5, generator=torch.Generator().manual_seed(0)) * 4
    found = model.quantize.nearest(latents)
    points = torch.nn.functional.normalize(latents, dim=1).permute(0, 2, 3, 1).reshape(-1, 6)
    distances = torch.cdist(points, model.quantize.vectors())
    assert torch.equal(found.flatten(), distances.argmin(1))


def test_lengths_in_the_codebook_do_not_matter():
    model = tokenizer()
    image = pixels(2, 16, 16)
    with torch.inference_mode():
        codes = model.encode(image)
        decoded = model.decode(codes)
        model.quantize.embedding.weight.mul_(torch.rand(50, 1) * 5 + 0.1)
        assert torch.equal(model.encode(image), codes)
        torch.testing.assert_close(model.decode(codes), decoded, rtol=0, atol=1e-5)


def test_looked_up_vectors_have_length_one_and_their_own_code():
    model = tokenizer()
    codes = torch.arange(50).view(1, 5, 10)
    vectors = model.quantize.lookup(codes)
    assert vectors.shape == (1, 6, 5, 10)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(1, 5, 10))
    assert torch.equal(model.quantize.nearest(vectors), codes)


def test_training_mode_changes_nothing():
    model = tokenizer()
    image = pixels(1, 16, 16)
    with torch.inference_mode():
        quiet = model.decode(model.encode(image))
        model.train()
        assert torch.equal(model.decode(model.encode(image)), quiet)


def test_downsampling_pads_at_the_bottom_right():
    layer = Downsample(1)
    with torch.no_grad():
        layer.conv.weight.zero_()
        layer.conv.weight[0, 0, 2, 2] = 1.0
        assert layer.conv.bias is not None
        layer.conv.bias.zero_()
        x = torch.arange(16.0).view(1, 1, 4, 4)
        # The kernel's last tap reads two pixels on; beyond the edge is zero.
        assert layer(x)[0, 0].tolist() == [[10.0, 0.0], [0.0, 0.0]]


def as_janus(name: str) -> str:
    """The name of a tensor in the image tokenizer of transformers' Janus."""
    name = re.sub(r"encoder\.conv_blocks\.(\d+)", r"encoder.down.\1", name)
    name = re.sub(r"decoder\.conv_blocks\.(\d+)", r"decoder.up.\1", name)
    name = re.sub(r"\.mid\.0\.", ".mid.block_1.", name)
    name = re.sub(r"\.mid\.1\.", ".mid.attn_1.", name)
    name = re.sub(r"\.mid\.2\.", ".mid.block_2.", name)
    return name.replace(".res.", ".block.")


def janus_of(model: VQTokenizer, grid: int) -> Any:
    """transformers' independent implementation with the weights of ``model``."""
    from transformers.models.janus.configuration_janus import JanusVQVAEConfig
    from transformers.models.janus.modeling_janus import JanusVQVAE

    c = model.config
    janus = JanusVQVAE(
        JanusVQVAEConfig(
            embed_dim=c.codebook_dim,
            num_embeddings=c.codebook_size,
            latent_channels=c.latent_channels,
            base_channels=c.channels,
            channel_multiplier=list(c.channel_multipliers),
            num_res_blocks=c.res_blocks,
            num_patches=grid,
        )
    )
    state = {as_janus(name): value.clone() for name, value in model.state_dict().items()}
    # Janus compares latents with the codebook as it is stored.
    state["quantize.embedding.weight"] = model.quantize.vectors().detach().clone()
    janus.load_state_dict(state)
    # It starts with its decoder in training mode.
    return janus.eval()


def assert_agrees_with_janus(model: VQTokenizer, image: torch.Tensor) -> None:
    grid = image.shape[-1] // model.config.downsampling
    janus = janus_of(model, grid)
    with torch.inference_mode():
        codes = model.encode(image)
        assert torch.equal(janus.encode(image).image_tokens.view_as(codes), codes)
        decoded = janus.decode(codes.flatten(1))
        ours = model.decode(codes)
    torch.testing.assert_close(decoded.view_as(ours), ours, rtol=0, atol=1e-4)


def test_an_independent_implementation_agrees_at_another_width():
    wide = tokenizer(
        channels=32, channel_multipliers=(1, 1, 2, 2, 4), res_blocks=2, latent_channels=40,
        norm_groups=32, codebook_size=300, codebook_dim=8,
    )  # fmt: skip
    assert_agrees_with_janus(wide, pixels(2, 64, 64))


@pytest.mark.slow
def test_an_independent_implementation_agrees_at_the_published_size():
    file = SHIPPED / "vq16.safetensors"
    assert_agrees_with_janus(golden_tokenizer(file), golden_tensors(file)["input.pixels"])
