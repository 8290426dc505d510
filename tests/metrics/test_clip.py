"""CLIP scores with a small random network in transformers' layout."""

import numpy as np
import pytest
import torch

from editar_cli.metrics._weights import MetricMissing
from editar_cli.metrics.clip import ClipScore


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny CLIP as transformers saves one: byte-pair vocabulary, image processor, weights."""
    import json

    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = CLIPConfig(
        text_config={
            **size,
            "num_attention_heads": 2,
            "vocab_size": len(words),
            "max_position_embeddings": 16,
            "eos_token_id": 1,
            "bos_token_id": 0,
            "pad_token_id": 1,
        },
        vision_config={**size, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIPModel(config).eval()
    processor = CLIPProcessor(
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(folder):
    return ClipScore(folder)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_the_score_is_a_hundred_times_the_networks_own_cosine(clip, pixels):
    for sentence in ("a cat", "snow on the hills"):
        ready = clip.processor(
            images=[pixels], text=[sentence], return_tensors="pt", truncation=True, max_length=16
        )
        with torch.inference_mode():
            out = clip.model(**ready)
        cosine = (out.image_embeds * out.text_embeds).sum().item()
        assert clip(pixels, sentence) == pytest.approx(max(0, 100 * cosine), abs=1e-4)


def test_a_part_is_looked_at_with_the_rest_at_zero(clip, pixels):
    part = np.zeros((40, 60), bool)
    part[10:20] = True
    dark = pixels.copy()
    dark[~part] = 0
    assert clip(pixels, "a cat", part) == clip(dark, "a cat")
    assert clip(pixels, "a cat", np.zeros((40, 60), bool)) is None


def test_a_long_sentence_is_cut_where_the_networks_text_ends(clip, pixels):
    assert isinstance(clip(pixels, "word " * 200), float)


def test_without_weights_the_score_is_missing(tmp_path):
    with pytest.raises(MetricMissing, match="no CLIP here"):
        ClipScore(tmp_path)
