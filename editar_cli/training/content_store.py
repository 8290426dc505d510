"""What was computed of a picture or an instruction, kept by content.

One SQLite file: whole after a crash, and several processes and runs may share it.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from editar_cli.errors import TrainingError
from editar_cli.text import TextEncoder

FILE = "codes.sqlite"


class ContentStore:
    """Bytes by key, on disk.

    Args:
        folder: where the file lies; made if need be.

    Raises:
        TrainingError: the file cannot be opened or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self._file, timeout=60, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode=WAL")
            # A power cut may lose the last entries, which are then computed again.
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS content (key BLOB PRIMARY KEY, value BLOB)"
            )
            self._base.commit()
        except (OSError, sqlite3.Error) as error:
            raise TrainingError(
                f"{self._file}: cannot be used as a cache ({error}); delete it, or leave cache out"
            ) from error

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or ``None``."""
        with self._lock:
            found = self._base.execute("SELECT value FROM content WHERE key = ?", (key,)).fetchone()
        return None if found is None else bytes(found[0])

    def put(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep (key, value) entries; those that are there already stay."""
        with self._lock, self._base:
            self._base.executemany("INSERT OR IGNORE INTO content VALUES (?, ?)", entries)

    def __len__(self) -> int:
        with self._lock:
            return int(self._base.execute("SELECT count(*) FROM content").fetchone()[0])


def content_key(*parts: bytes | str) -> bytes:
    """16 bytes that stand for the parts and their order."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.digest()


class StoredTextEncoder:
    """A text encoder whose embeddings are kept in a store.

    Embeddings are kept exactly: in bfloat16 where that loses nothing, which is so where the encoder
    runs in it, else in float32.

    Args:
        encoder: asked for what the store does not have.
        store: where embeddings are kept. Those of another encoder, number format or device have
            other keys, for a probe sentence is encoded into them.
    """

    def __init__(self, encoder: TextEncoder, store: ContentStore) -> None:
        self._encoder = encoder
        self._store = store
        self.text_tokens = encoder.text_tokens
        self.text_dim = encoder.text_dim
        probe = encoder.encode(["a probe of this encoder"])
        self._identity = content_key(probe.numpy().tobytes())

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """N prompts -> (N, text_tokens, text_dim) float32 on the CPU."""
        keys = [self._key(prompt) for prompt in prompts]
        found = {key: self._store.get(key) for key in keys}
        fresh = [p for p, key in zip(prompts, keys, strict=True) if found[key] is None]
        if fresh:
            distinct = list(dict.fromkeys(fresh))
            made = {
                self._key(prompt): _packed(embedding)
                for prompt, embedding in zip(distinct, self._encoder.encode(distinct), strict=True)
            }
            self._store.put(list(made.items()))
            found |= made
        shape = (len(prompts), self.text_tokens, self.text_dim)
        return torch.stack([_unpacked(found[key] or b"") for key in keys]).view(shape)

    def _key(self, prompt: str) -> bytes:
        return content_key("text", self._identity, prompt)


def _packed(embedding: Tensor) -> bytes:
    short = embedding.bfloat16()
    if torch.equal(short.float(), embedding):
        return b"b" + short.contiguous().view(torch.int16).numpy().tobytes()
    return b"f" + embedding.contiguous().numpy().tobytes()


def _unpacked(stored: bytes) -> Tensor:
    raw = bytearray(stored[1:])
    if stored[:1] == b"b":
        return torch.frombuffer(raw, dtype=torch.int16).view(torch.bfloat16).float()
    return torch.frombuffer(raw, dtype=torch.float32)
