import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from editar_cli.errors import TrainingError
from editar_cli.training.content_store import FILE, ContentStore, StoredTextEncoder, content_key


def test_what_is_put_is_found_by_another_process_of_the_same_folder(tmp_path: Path):
    store = ContentStore(tmp_path / "cache")
    assert store.get(b"a") is None
    store.put([(b"a", b"1"), (b"b", b"2")])
    store.put([(b"a", b"3")])
    other = ContentStore(tmp_path / "cache")
    assert (other.get(b"a"), other.get(b"b"), len(other)) == (b"1", b"2", 2)


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(TrainingError, match=rf"{FILE}: cannot be used as a cache .* delete it"):
        ContentStore(tmp_path)


def test_many_threads_may_use_one_store(tmp_path: Path):
    store = ContentStore(tmp_path)

    def work(number: int) -> None:
        for i in range(20):
            store.put([(content_key(str(i)), bytes([i]))])
            assert store.get(content_key(str(i))) == bytes([i])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store) == 20


def test_a_key_stands_for_its_parts_and_their_bounds():
    assert content_key("a", b"bc") == content_key("a", "bc")
    assert (
        len({content_key(*parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"])})
        == 4
    )


class Counting:
    """Embeddings of a prompt's length; ``scale`` makes another encoder of it."""

    text_tokens, text_dim = 3, 4

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.encoded: list[str] = []

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        self.encoded += prompts
        made = [torch.arange(12.0).view(3, 4) * self.scale + len(prompt) for prompt in prompts]
        return torch.stack(made)


@pytest.mark.parametrize("scale", [1.0, 1 / 3])
def test_stored_embeddings_are_the_encoders_own_bit_for_bit(tmp_path: Path, scale: float):
    prompts = ["at night", "", "make it snowy", "at night"]
    expected = Counting(scale).encode(prompts)
    first, second = Counting(scale), Counting(scale)
    for encoder in (first, second):
        stored = StoredTextEncoder(encoder, ContentStore(tmp_path))
        encoder.encoded.clear()
        assert torch.equal(stored.encode(prompts), expected)
    assert first.encoded == ["at night", "", "make it snowy"] and second.encoded == []


def test_embeddings_of_another_encoder_are_not_taken(tmp_path: Path):
    store = ContentStore(tmp_path)
    StoredTextEncoder(Counting(1.0), store).encode(["at night"])
    other = StoredTextEncoder(Counting(2.0), store)
    assert torch.equal(other.encode(["at night"]), Counting(2.0).encode(["at night"]))


def test_numbers_that_bfloat16_holds_are_kept_in_half_the_space(tmp_path: Path):
    sizes = []
    for name, scale in (("short", 1.0), ("long", 1 / 3)):
        StoredTextEncoder(Counting(scale), ContentStore(tmp_path / name)).encode(["x"])
        base = sqlite3.connect(tmp_path / name / FILE)
        sizes.append(base.execute("SELECT length(value) FROM content").fetchall())
    assert sizes == [[(25,)], [(49,)]]
