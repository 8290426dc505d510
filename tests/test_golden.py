"""The code agrees with the public reference implementation, number by number.

Every expected tensor of every golden file is one test; ``EDITAR_GOLDEN=FOLDER`` adds the files of
the same form in another folder. PIE-Bench metrics are not checked here.
"""

import re
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from editar_cli.checkpoints.editar import to_published
from editar_cli.conditioning import Dropped, image_embeddings, text_embeddings
from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import Request, decode
from editar_cli.decoding.sequential import Sequential
from editar_cli.decoding.speculative import Speculative
from editar_cli.sampling import filter_logits
from editar_cli.training.distillation import distillation_mse
from editar_cli.training.editor import teacher_forcing
from editar_cli.training.losses import code_cross_entropy
from tests.golden_files import (
    SHIPPED,
    golden_files,
    golden_keys,
    golden_tensors,
    golden_tokenizer,
    golden_transformer,
)

DISTILLATION_WEIGHT = 0.5
# What each uniform draw of the joint condition dropout leaves out: see ``Dropped.from_draw``.
DRAWS = {
    "none": (0.5,),
    "image_and_text": (0.02,),
    "image_only": (0.07,),
    "text_only": (0.97,),
    "mixed": (0.02, 0.07, 0.97),
}
PREFILLS = {
    "image_kept": (False, False),
    "image_dropped": (True, False),
    "text_dropped": (False, True),
}

PREFILL = re.compile(rf"prefill_logits\.({'|'.join(PREFILLS)})")
GREEDY = re.compile(r"greedy_codes\.guidance_([\d.]+?)(?:\.interval_(\d+))?")
TRAIN = re.compile(
    rf"train\.({'|'.join(DRAWS)})"
    r"\.(cross_entropy|distill_mse|logits|adapter_features|grad_norm\.(.+))"
)
SAMPLING = re.compile(r"probabilities\.temperature_([\d.]+)\.top_k_(\d+)\.top_p_([\d.]+)")
VQ_KEYS = {"encoder.latents", "codes", "decoded.pixels"}


def cases(prefix: str) -> pytest.MarkDecorator:
    found = golden_keys(prefix)
    return pytest.mark.parametrize(
        ("file", "key"), found, ids=[f"{file.parent.name}/{file.stem}:{key}" for file, key in found]
    )


def assert_close(found: Tensor, expected: Tensor, *, absolute: float) -> None:
    torch.testing.assert_close(found.view_as(expected), expected, rtol=0, atol=absolute)


def assert_relative(found: Tensor, expected: Tensor, relative: float) -> None:
    torch.testing.assert_close(found.view_as(expected), expected, rtol=relative, atol=0)


@cases("gpt_")
def test_transformer(file: Path, key: str) -> None:
    expected = golden_tensors(file)[key]
    if key == "rope.cos_sin":
        assert_close(golden_transformer(file).turns, expected, absolute=1e-6)
    elif match := PREFILL.fullmatch(key):
        logits = prefill_logits(file, *PREFILLS[match[1]])
        if expected.ndim == 2:
            logits = logits[:, -1]
        assert_close(logits, expected, absolute=5e-5)
    elif match := GREEDY.fullmatch(key):
        assert_codes_equal(greedy_codes(file, match[1], match[2]), expected)
    elif match := TRAIN.fullmatch(key):
        check_training(file, expected, draw=match[1], quantity=match[2], parameter=match[3])
    else:
        pytest.skip(f"{key}: not known here")


@cases("vq16")
def test_tokenizer(file: Path, key: str) -> None:
    golden = golden_tensors(file)
    tokenizer = golden_tokenizer(file)
    with torch.inference_mode():
        if key == "encoder.latents":
            assert_close(tokenizer.latents(golden["input.pixels"]), golden[key], absolute=1e-4)
        elif key == "codes":
            assert_codes_equal(tokenizer.encode(golden["input.pixels"]), golden[key])
        elif key == "decoded.pixels":
            assert_close(tokenizer.decode(golden["codes"]), golden[key], absolute=1e-3)
        else:
            pytest.skip(f"{key}: not known here")


@cases("sampling")
def test_sampling(file: Path, key: str) -> None:
    golden = golden_tensors(file)
    match = SAMPLING.fullmatch(key)
    if match is None:
        pytest.skip(f"{key}: not known here")
    temperature, top_k, top_p = float(match[1]), int(match[2]), float(match[3])
    kept = filter_logits(golden["input.logits"], temperature=temperature, top_k=top_k, top_p=top_p)
    assert_close(kept.softmax(-1), golden[key], absolute=1e-6)
    assert torch.equal(kept.isfinite(), golden[key] > 0), "the same codes are left out"


def test_no_tensor_of_the_shipped_files_goes_unchecked() -> None:
    assert {file.stem for file in golden_files("")} >= {"gpt_tiny", "vq16", "sampling"}
    for file, key in golden_keys("gpt_"):
        known = any(p.fullmatch(key) for p in (PREFILL, GREEDY, TRAIN)) or key == "rope.cos_sin"
        assert known or file.parent != SHIPPED, key
    for file, key in golden_keys("vq16"):
        assert key in VQ_KEYS or file.parent != SHIPPED, key
    for file, key in golden_keys("sampling"):
        assert SAMPLING.fullmatch(key) or file.parent != SHIPPED, key


def assert_codes_equal(found: Tensor, expected: Tensor) -> None:
    different = int((found.view_as(expected) != expected).sum())
    assert different == 0, f"{different} of {expected.numel()} codes differ"


@torch.inference_mode()
def prefill_logits(file: Path, drop_image: bool, drop_text: bool) -> Tensor:
    """(B, S + T, V) logits over the input codes and the text."""
    golden, model = golden_tensors(file), golden_transformer(file)
    codes = golden["input.image_codes"]

    def every(dropped: bool) -> Tensor:
        return torch.full((codes.shape[0],), dropped)

    x = torch.cat(
        [
            image_embeddings(model, codes, every(drop_image)),
            text_embeddings(model, golden["input.text_embeddings"], every(drop_text)),
        ],
        dim=1,
    )
    return model.logits(model.hidden(x, model.turns[: x.shape[1]]))


def greedy_codes(file: Path, guidance: str, interval: str | None) -> Tensor:
    golden = golden_tensors(file)
    codes = golden["input.image_codes"]
    sampling = SamplingConfig(
        guidance=float(guidance),
        temperature=0.0,
        guidance_interval=int(interval) if interval else None,
    )
    requests = [
        Request(source_codes=source, text=text, seed=0)
        for source, text in zip(codes, golden["input.text_embeddings"], strict=True)
    ]
    found = []
    for strategy in (Sequential(), Speculative()):
        done = decode(golden_transformer(file), requests, sampling, strategy, rows=len(requests))
        found.append(torch.stack([one.codes for one in sorted(done, key=lambda one: one.index)]))
    assert torch.equal(*found), "speculation must not change codes"
    return found[0]


@lru_cache(maxsize=8)
def training_step(file: Path, draw: str) -> dict[str, Tensor]:
    """Every quantity of one training step, by the names the golden keys give them."""
    golden, model = golden_tensors(file), golden_transformer(file)
    sources, targets = golden["input.image_codes"], golden["input.target_codes"]
    draws = DRAWS[draw]
    r = torch.tensor([draws[i % len(draws)] for i in range(len(sources))])
    seen = teacher_forcing(
        model, sources, targets, golden["input.text_embeddings"], Dropped.from_draw(r)
    )
    loss = code_cross_entropy(seen.logits, targets)
    found = {"cross_entropy": loss.detach(), "logits": seen.logits.detach()}
    if model.config.adapter_dim is not None and "input.teacher_features" in golden:
        features = model.adapter_features(seen.hidden)
        patches = golden["input.teacher_features"]
        side = int(patches.shape[1] ** 0.5)
        teacher = patches.transpose(1, 2).unflatten(2, (side, side))
        mse = distillation_mse(features, teacher)
        found |= {
            "distill_mse": mse.detach(),
            "adapter_features": features.detach().flatten(2).transpose(1, 2),
        }
        loss = loss + DISTILLATION_WEIGHT * mse
    named = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    native = {name: g for name, g in zip(named, gradients, strict=True) if g is not None}
    published = to_published(native)
    return found | {f"grad_norm.{name}": g.norm() for name, g in published.items()}


def check_training(
    file: Path, expected: Tensor, *, draw: str, quantity: str, parameter: str | None
) -> None:
    found = training_step(file, draw)
    if quantity not in found:
        pytest.skip(f"{quantity}: these weights or inputs have no distillation")
    if quantity in ("logits", "adapter_features"):
        assert_close(found[quantity], expected, absolute=1e-4)
    else:
        assert_relative(found[quantity], expected, 1e-3 if parameter else 1e-4)
