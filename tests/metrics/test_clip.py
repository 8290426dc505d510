"""CLIP scores with a small random network in transformers' layout."""

import numpy as np
import pytest
import torch

from editar_cli.metrics._weights import MetricMissing
from editar_cli.metrics.clip import ClipScore
from tests.clip_files import write_tiny_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


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
