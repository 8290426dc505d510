from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from editar_cli.text import CachedTextEncoder
from editar_cli.training import texts
from editar_cli.training.texts import TextTable


class LengthEncoder(CachedTextEncoder):
    """A prompt's encoding is its length."""

    text_tokens = 2
    text_dim = 3

    def __init__(self) -> None:
        super().__init__(cache_size=0)
        self.passes: list[list[str]] = []

    def encode_one(self, prompt: str) -> Tensor:
        raise AssertionError("one by one is what a table is to spare")

    def encode_together(self, prompts: Sequence[str]) -> Tensor:
        self.passes.append(list(prompts))
        lengths = torch.tensor([float(len(prompt)) for prompt in prompts])
        return lengths[:, None, None].expand(-1, self.text_tokens, self.text_dim)


CPU = torch.device("cpu")


def table_of(encoder: LengthEncoder, prompts: Sequence[str]) -> TextTable:
    return TextTable(encoder, prompts, device=CPU, dtype=torch.float32)


def test_each_distinct_prompt_is_encoded_once_beside_others_of_its_length(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(texts, "TOGETHER", 2)
    encoder = LengthEncoder()
    table = table_of(encoder, ["ccc", "a", "ccc", "dddd", "bb", "a"])
    assert encoder.passes == [["a", "bb"], ["ccc", "dddd"]]
    assert len(table) == 4


def test_prompts_are_looked_up_in_any_order_and_as_often_as_wanted():
    table = table_of(LengthEncoder(), ["ccc", "a", "bb"])
    found = table(["bb", "ccc", "bb"])
    assert found.shape == (3, 2, 3)
    assert found[:, 1, 2].tolist() == [2, 3, 2]


def test_a_table_is_kept_in_the_format_asked_for():
    table = TextTable(LengthEncoder(), ["a" * 257], device=CPU, dtype=torch.bfloat16)
    found = table(["a" * 257])
    assert found.dtype == torch.bfloat16 and found[0, 0, 0].item() == 256


def test_progress_is_told_in_distinct_prompts():
    told: list[tuple[int, int]] = []
    TextTable(
        LengthEncoder(),
        [str(i % 70) * 3 for i in range(200)],
        device=CPU,
        dtype=torch.float32,
        report=lambda done, total: told.append((done, total)),
    )
    assert told == [(64, 70), (70, 70)]


def test_a_prompt_that_was_not_announced_is_an_error():
    with pytest.raises(KeyError, match="other"):
        table_of(LengthEncoder(), ["a"])(["other"])
