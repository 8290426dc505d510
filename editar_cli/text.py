"""Instructions -> text embeddings with a fixed number of positions, cached per distinct prompt.

Nothing heavy is imported here: the embedded model's encoder needs torch and ``tokenizers`` only,
and transformers is loaded when a T5 encoder is.
"""

import json
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from editar_cli.errors import CheckpointError
from editar_cli.tensorfiles import load_strictly, read_tensors, without_weights

if TYPE_CHECKING:
    import torch

    from editar_cli.models.bert import BertConfig

TEXT_CONFIG = "config.json"
TEXT_WEIGHTS = "model.safetensors"
TEXT_TOKENIZER = "tokenizer.json"
SCALE_SUFFIX = ".scale"
MINILM_MAX_TOKENS = 128
T5_TEXT_TOKENS = 120
T5_HUB_ID = "google/flan-t5-xl"


class TextEncoder(Protocol):
    """Anything that turns prompts into a fixed number of embedding vectors each."""

    @property
    def text_tokens(self) -> int:
        """Positions per prompt."""

    @property
    def text_dim(self) -> int:
        """Width of one position."""

    def encode(self, prompts: Sequence[str]) -> "torch.Tensor":
        """Prompts -> (N, text_tokens, text_dim) float32 on the CPU."""


class CachedTextEncoder(ABC):
    """Encodes each distinct prompt once and alone, and remembers the most recent ones.

    One prompt at a time: a prompt's embedding then never depends on its neighbours in a batch, not
    even in the last bit.

    Args:
        cache_size: most prompts that are remembered.
    """

    text_tokens: int
    text_dim: int

    def __init__(self, cache_size: int) -> None:
        self._cache: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._cache_size = cache_size

    @abstractmethod
    def encode_one(self, prompt: str) -> "torch.Tensor":
        """One prompt, not cached -> (text_tokens, text_dim) float32 on the CPU."""

    @abstractmethod
    def encode_together(self, prompts: Sequence[str]) -> "torch.Tensor":
        """N >= 1 prompts in one pass -> (N, text_tokens, text_dim) float32 on the CPU.

        Not cached, and equal to :meth:`encode` to rounding only: a prompt's neighbours reach the
        last bits. Training takes it, results must not.
        """

    def encode(self, prompts: Sequence[str]) -> "torch.Tensor":
        """N >= 1 prompts -> (N, text_tokens, text_dim) float32 on the CPU, without gradient."""
        import torch

        return torch.stack([self._cached(prompt) for prompt in prompts])

    def _cached(self, prompt: str) -> "torch.Tensor":
        if prompt in self._cache:
            self._cache.move_to_end(prompt)
            return self._cache[prompt]
        embedding = self.encode_one(prompt)
        self._cache[prompt] = embedding
        if len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return embedding


def quantize_rows(weight: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Symmetric int8 with one scale per row.

    Args:
        weight: (R, C) float.

    Returns:
        (R, C) int8 in [-127, 127] and (R, 1) float16 scales; weight ~ int8 * scale.
    """
    import torch

    # Divide by the scale as it is stored, so that rounding to half precision costs nothing more.
    # The floor keeps the scale of an all-zero row, or one of denormals, above zero.
    scale = (weight.float().abs().amax(dim=1, keepdim=True) / 127).clamp_min(1e-7).half()
    return torch.round(weight.float() / scale.float()).clamp(-127, 127).to(torch.int8), scale


def dequantize(stored: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """int8 tensors and their ``NAME.scale`` rows -> float32; other tensors -> float32."""
    import torch

    return {
        name: value.float() * stored[name + SCALE_SUFFIX].float()
        if value.dtype == torch.int8
        else value.float()
        for name, value in stored.items()
        if not name.endswith(SCALE_SUFFIX)
    }


class MiniLMEncoder(CachedTextEncoder):
    """all-MiniLM-L6-v2 (or another BERT sentence encoder) from a bundle's text folder.

    Positions: the first ``min(n, text_tokens - 1)`` of the prompt's n token vectors in order ([CLS]
    and [SEP] are tokens), then the mean over all n until ``text_tokens`` are full. The last
    position is always the mean, so nothing is padding and a long prompt still counts as a whole.
    Prompts longer than the encoder's limit (128 tokens) are cut there.

    Args:
        folder: holds config.json, model.safetensors (int8 rows with scales) and tokenizer.json.
        text_tokens: positions per prompt, at least 2.
        cache_size: most prompts that are remembered.

    Raises:
        CheckpointError: a file is missing, damaged or of another architecture.
    """

    def __init__(self, folder: Path, *, text_tokens: int = 24, cache_size: int = 4096) -> None:
        super().__init__(cache_size)
        from tokenizers import Tokenizer

        from editar_cli.models.bert import BertEncoder

        assert text_tokens >= 2, "one token vector and the mean"
        config = _read_bert_config(folder / TEXT_CONFIG)
        tokenizer_file = folder / TEXT_TOKENIZER
        if not tokenizer_file.is_file():
            raise CheckpointError(f"{tokenizer_file}: no such file; the bundle is incomplete")
        self.text_tokens = text_tokens
        self.text_dim = config.dim
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(config.max_positions, MINILM_MAX_TOKENS))
        with without_weights():
            self._encoder = BertEncoder(config)
        weights = folder / TEXT_WEIGHTS
        load_strictly(self._encoder, dequantize(read_tensors(weights)), weights)
        self._encoder.requires_grad_(False).eval()

    def encode_one(self, prompt: str) -> "torch.Tensor":
        """One prompt, not cached -> (text_tokens, text_dim) float32 on the CPU."""
        import torch

        ids = torch.tensor([self._tokenizer.encode(prompt.strip()).ids])
        with torch.no_grad():
            hidden = self._encoder(ids, torch.ones_like(ids))[0]
        return self._positions(hidden)

    def encode_together(self, prompts: Sequence[str]) -> "torch.Tensor":
        """N >= 1 prompts in one pass -> (N, text_tokens, text_dim) float32 on the CPU."""
        import torch

        rows = [torch.tensor(self._tokenizer.encode(prompt.strip()).ids) for prompt in prompts]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        real = torch.arange(ids.shape[1]) < torch.tensor([[len(row)] for row in rows])
        with torch.no_grad():
            hidden = self._encoder(ids, real)
        return torch.stack(
            [self._positions(h[: len(r)]) for h, r in zip(hidden, rows, strict=True)]
        )

    def _positions(self, hidden: "torch.Tensor") -> "torch.Tensor":
        """(n, D) vectors of a prompt's tokens -> (text_tokens, D)."""
        import torch

        kept = hidden[: self.text_tokens - 1]
        mean = hidden.mean(dim=0, keepdim=True)
        return torch.cat([kept, mean.expand(self.text_tokens - len(kept), -1)])


def _read_bert_config(file: Path) -> "BertConfig":
    from editar_cli.models.bert import BertConfig

    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; the bundle's text folder is incomplete")
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        return BertConfig(**raw)
    except (ValueError, TypeError) as error:
        known = ", ".join(field.name for field in fields(BertConfig))
        raise CheckpointError(
            f"{file}: not a text encoder's configuration ({error}); known keys: {known}"
        ) from error


class T5Encoder(CachedTextEncoder):
    """The encoder half of a T5 model, by default flan-t5-xl, run by transformers.

    As the published weights were trained: the raw prompt, padded or cut to exactly 120 tokens, the
    attention mask given to T5 only; all 120 last hidden states are returned, padding included.

    Args:
        source: a local folder in Hugging Face form, or a hub name whose files are in the local
            Hugging Face cache already. Nothing is downloaded.
        device: where it runs; flan-t5-xl's encoder needs 4.9 GB there in float32.
        dtype: number format it runs in; float16 is replaced by float32, for T5 overflows in it.
        text_tokens: positions per prompt.
        cache_size: most prompts that are remembered (1 MB each with flan-t5-xl).

    Raises:
        CheckpointError: the encoder is not on this machine, damaged, or needs a missing library.
    """

    def __init__(
        self,
        source: str | Path = T5_HUB_ID,
        *,
        device: "str | torch.device" = "cpu",
        dtype: "torch.dtype | None" = None,
        text_tokens: int = T5_TEXT_TOKENS,
        cache_size: int = 128,
    ) -> None:
        super().__init__(cache_size)
        import torch

        name = str(source)
        folder = Path(source)
        if not _installed("transformers"):
            raise CheckpointError(
                f"text encoder {name}: needs transformers; run `pip install 'editar[t5]'`"
            )
        if folder.is_dir():
            _check_t5_tokenizer(folder)
        if dtype is None or dtype == torch.float16:
            dtype = torch.float32
        with _quiet_transformers():
            from safetensors import SafetensorError
            from transformers import AutoTokenizer, T5EncoderModel

            try:
                self._tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=True)
                model: Any = T5EncoderModel.from_pretrained(
                    name, dtype=dtype, local_files_only=True
                )
            except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
                raise CheckpointError(_t5_advice(name, folder.is_dir(), error)) from error
        self._model = model.to(device).requires_grad_(False).eval()
        self.text_tokens = text_tokens
        self.text_dim = int(model.config.d_model)

    def encode_one(self, prompt: str) -> "torch.Tensor":
        """One prompt, not cached -> (text_tokens, text_dim) float32 on the CPU."""
        return self.encode_together([prompt])[0]

    def encode_together(self, prompts: Sequence[str]) -> "torch.Tensor":
        """N >= 1 prompts in one pass -> (N, text_tokens, text_dim) float32 on the CPU."""
        import torch

        batch = self._tokenizer(
            list(prompts),
            max_length=self.text_tokens,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        ).to(self._model.device)
        with torch.no_grad():
            hidden = self._model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
            ).last_hidden_state
        embeddings: torch.Tensor = hidden.float().cpu()
        return embeddings


def _check_t5_tokenizer(folder: Path) -> None:
    if (folder / TEXT_TOKENIZER).is_file():
        return
    if not (folder / "spiece.model").is_file():
        raise CheckpointError(f"{folder}: holds no tokenizer.json; get the text encoder again")
    packages = {"sentencepiece": "sentencepiece", "google.protobuf": "protobuf"}
    if missing := [name for module, name in packages.items() if not _installed(module)]:
        raise CheckpointError(
            f"{folder}: holds spiece.model but no tokenizer.json; to read that, run "
            f"`pip install {' '.join(missing)}`, or add the tokenizer.json of the same model"
        )


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # The package that the module would lie in is not there either.
        return False


def _t5_advice(name: str, is_folder: bool, error: Exception) -> str:
    if is_folder:
        return f"{name}: not a T5 encoder in Hugging Face form ({error})"
    if name != T5_HUB_ID:
        return (
            f"text encoder {name}: no such folder, and not in the Hugging Face cache; download it "
            f"with `hf download {name}` or name a folder"
        )
    return (
        f"text encoder {name} is not on this machine; `editar weights pull flan-t5-xl` downloads "
        "11.4 GB into the Hugging Face cache (HF_HOME), or copy its folder here and name it with "
        "`editar weights convert --text FOLDER`"
    )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No bars and no advice of transformers while a model is loaded; afterwards as before."""
    logging: Any = import_module("transformers.utils.logging")
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
