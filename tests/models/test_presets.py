import pytest

from editar_cli.models.gpt import GPTConfig
from editar_cli.models.presets import GPT_PRESETS, VQ16

PUBLISHED = {
    "gpt-b": (12, 12, 768),
    "gpt-l": (24, 16, 1024),
    "gpt-xl": (36, 20, 1280),
    "gpt-xxl": (48, 24, 1536),
    "gpt-3b": (24, 32, 3200),
}


def test_the_published_sizes_are_all_there():
    found = {
        name: (size["n_layer"], size["n_head"], size["dim"]) for name, size in GPT_PRESETS.items()
    }
    assert found == PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_size_makes_a_valid_configuration(name: str):
    config = GPTConfig(**GPT_PRESETS[name], vocab_size=16384, grid=32)
    assert config.head_dim == (100 if name == "gpt-3b" else 64)
    assert (config.codes, config.text_tokens, config.text_dim) == (1024, 120, 2048)


def test_vq16_turns_512_pixels_into_32_codes():
    assert VQ16.downsampling == 16
    assert (VQ16.codebook_size, VQ16.codebook_dim) == (16384, 8)
