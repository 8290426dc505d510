import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from editar_cli import text
from editar_cli.checkpoints.minilm import write_minilm
from editar_cli.errors import CheckpointError
from editar_cli.text import CachedTextEncoder, MiniLMEncoder, T5Encoder, dequantize, quantize_rows
from tests.bert_files import write_tiny_bert

LONG = "add a red hat to the mountain at night please make it warmer " * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("minilm")
    write_minilm(write_tiny_bert(base / "hf"), base / "text")
    return base / "text"


def token_vectors(encoder: MiniLMEncoder, prompt: str) -> torch.Tensor:
    ids = torch.tensor([encoder._tokenizer.encode(prompt).ids])
    with torch.no_grad():
        hidden: torch.Tensor = encoder._encoder(ids, torch.ones_like(ids))[0]
    return hidden


def test_importing_loads_no_library_and_minilm_never_transformers(folder: Path) -> None:
    code = (
        "import sys; import editar_cli.text as text; from pathlib import Path\n"
        "heavy = {'torch', 'tokenizers', 'transformers', 'safetensors'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        f"text.MiniLMEncoder(Path({str(folder)!r})).encode(['make it snowy'])\n"
        "assert 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_short_prompt_is_its_tokens_then_their_mean(folder: Path) -> None:
    encoder = MiniLMEncoder(folder, text_tokens=24)
    embedding = encoder.encode(["make it snowy"])
    hidden = token_vectors(encoder, "make it snowy")
    assert len(hidden) == 5  # [CLS] make it snowy [SEP]
    assert embedding.shape == (1, 24, 32) and embedding.dtype == torch.float32
    assert torch.equal(embedding[0, :5], hidden)
    assert torch.equal(embedding[0, 5:], hidden.mean(0).expand(19, -1))


@pytest.mark.parametrize("text_tokens", [5, 6])
def test_the_last_position_is_the_mean_however_many_tokens_there_are(
    folder: Path, text_tokens: int
) -> None:
    encoder = MiniLMEncoder(folder, text_tokens=text_tokens)
    embedding = encoder.encode(["make it snowy"])[0]
    hidden = token_vectors(encoder, "make it snowy")
    kept = min(5, text_tokens - 1)
    assert torch.equal(embedding[:kept], hidden[:kept])
    assert torch.equal(embedding[kept:], hidden.mean(0).expand(text_tokens - kept, -1))


def test_the_end_of_a_long_prompt_still_counts(folder: Path) -> None:
    encoder = MiniLMEncoder(folder, text_tokens=24)
    one, other = encoder.encode([LONG + "snowy", LONG + "sunset"])
    assert len(token_vectors(encoder, LONG)) > 24
    assert not torch.allclose(one[-1], other[-1])


def test_prompts_are_cut_at_128_tokens(folder: Path) -> None:
    encoder = MiniLMEncoder(folder)
    assert len(token_vectors(encoder, LONG * 20)) == 128
    assert encoder.encode([LONG * 20]).shape == (1, 24, 32)


def test_outer_white_space_and_case_do_not_matter(folder: Path) -> None:
    one, other = MiniLMEncoder(folder).encode(["make it snowy", "  Make it SNOWY\n"])
    assert torch.equal(one, other)


def test_neighbours_in_a_batch_change_nothing_at_all(folder: Path) -> None:
    prompts = ["make it snowy", LONG, "sunset", "at night"]
    together = MiniLMEncoder(folder).encode(prompts)
    for i, prompt in enumerate(prompts):
        assert torch.equal(MiniLMEncoder(folder).encode([prompt])[0], together[i])


def test_many_prompts_in_one_pass_are_encoded_as_each_alone(folder: Path) -> None:
    encoder = MiniLMEncoder(folder, text_tokens=8)
    prompts = ["", "make it snowy", LONG * 20, "sunset"]
    together = encoder.encode_together(prompts)
    assert together.shape == (4, 8, 32) and together.dtype == torch.float32
    torch.testing.assert_close(together, encoder.encode(prompts), rtol=0, atol=1e-5)


def test_an_empty_prompt_is_encoded_like_any_other(folder: Path) -> None:
    assert MiniLMEncoder(folder).encode([""]).isfinite().all()


def test_embeddings_can_be_trained_on(folder: Path) -> None:
    embedding = MiniLMEncoder(folder).encode(["sunset"])
    weight = torch.ones(32, requires_grad=True)
    torch.autograd.backward((embedding * weight).sum())
    assert weight.grad is not None and not embedding.requires_grad


class Counting(CachedTextEncoder):
    def __init__(self, cache_size: int) -> None:
        super().__init__(cache_size)
        self.encoded: list[str] = []

    def encode_one(self, prompt: str) -> torch.Tensor:
        self.encoded.append(prompt)
        return torch.full((2, 3), float(len(prompt)))

    def encode_together(self, prompts: Sequence[str]) -> torch.Tensor:
        raise AssertionError("what is remembered must not depend on neighbours")


def test_each_distinct_prompt_is_encoded_once() -> None:
    encoder = Counting(cache_size=8)
    embeddings = encoder.encode(["a", "bb", "a", "a"])
    encoder.encode(["bb"])
    assert encoder.encoded == ["a", "bb"]
    assert embeddings[:, 0, 0].tolist() == [1, 2, 1, 1]


def test_the_cache_is_bounded_and_forgets_the_longest_unused() -> None:
    encoder = Counting(cache_size=2)
    for prompt in ("a", "bb", "a", "ccc", "a", "bb"):
        encoder.encode([prompt])
    assert encoder.encoded == ["a", "bb", "ccc", "bb"]


def test_quantised_rows_are_within_half_a_step() -> None:
    weight = torch.randn(7, 50, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    weight[4] *= 1e-3
    codes, scale = quantize_rows(weight)
    restored = dequantize({"w": codes, "w.scale": scale, "b": torch.ones(2).half()})
    assert codes.dtype == torch.int8 and restored["b"].dtype == torch.float32
    # Half a step, and what rounding the scale to half precision takes from the largest number.
    assert ((restored["w"] - weight).abs() <= 0.57 * scale.float()).all()


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, tmp_path: Path, file: str) -> None:
    for other in folder.iterdir():
        if other.name != file:
            (tmp_path / other.name).write_bytes(other.read_bytes())
    with pytest.raises(CheckpointError, match=f"{file}: no such file"):
        MiniLMEncoder(tmp_path)


def test_a_foreign_configuration_is_refused(folder: Path, tmp_path: Path) -> None:
    for other in folder.iterdir():
        (tmp_path / other.name).write_bytes(other.read_bytes())
    raw = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**raw, "width": 3}))
    with pytest.raises(CheckpointError, match="width"):
        MiniLMEncoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**raw, "n_layer": 3}))
    with pytest.raises(CheckpointError, match=r"missing: blocks\.2"):
        MiniLMEncoder(tmp_path)


@pytest.fixture(scope="module")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers", reason="T5 is run by transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("t5")
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=64,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )
    # The published files hold the decoder too; the encoder half must be picked out of them.
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    words = ["<pad>", "</s>", "<unk>", "Make", "make", "it", "snowy", " snowy"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


def test_t5_gives_all_120_padded_positions_of_transformers(t5_folder: Path) -> None:
    import transformers

    encoder = T5Encoder(t5_folder)
    embedding = encoder.encode(["Make it snowy"])
    ids = torch.zeros(1, 120, dtype=torch.long)
    ids[0, :4] = torch.tensor([3, 5, 6, 1])
    mask = (torch.arange(120) < 4)[None].long()
    model: Any = transformers.T5EncoderModel.from_pretrained(t5_folder)
    model.eval()
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).last_hidden_state
    assert (encoder.text_tokens, encoder.text_dim) == (120, 32)
    assert embedding.shape == (1, 120, 32) and embedding.dtype == torch.float32
    torch.testing.assert_close(embedding, expected, atol=1e-5, rtol=0)


def test_t5_cuts_long_prompts_to_120_positions(t5_folder: Path) -> None:
    assert T5Encoder(t5_folder).encode(["snowy " * 500]).shape == (1, 120, 32)


def test_t5_in_float16_runs_in_float32(t5_folder: Path) -> None:
    encoder = T5Encoder(t5_folder, dtype=torch.float16)
    assert encoder._model.dtype == torch.float32


def test_t5_in_bfloat16_still_gives_float32(t5_folder: Path) -> None:
    encoder = T5Encoder(t5_folder, dtype=torch.bfloat16)
    assert encoder._model.dtype == torch.bfloat16
    assert encoder.encode(["make it snowy"]).dtype == torch.float32


def test_a_t5_that_is_not_here_is_not_downloaded_but_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"11\.4 GB.*weights pull flan-t5-xl|pull.*11\.4 GB"):
        T5Encoder()
    with pytest.raises(CheckpointError, match="hf download someone/t5"):
        T5Encoder("someone/t5")


def test_a_sentencepiece_folder_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spiece.model").write_bytes(b"")
    monkeypatch.setattr(text, "_installed", lambda module: module == "transformers")
    with pytest.raises(CheckpointError, match="`pip install sentencepiece protobuf`"):
        T5Encoder(tmp_path)


def test_without_transformers_it_says_what_to_install(
    t5_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_installed", lambda module: False)
    with pytest.raises(CheckpointError, match=r"pip install 'editar\[t5\]'"):
        T5Encoder(t5_folder)


def test_a_folder_that_is_no_t5_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        T5Encoder(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a T5 encoder"):
        T5Encoder(tmp_path)


def test_a_package_inside_a_missing_one_is_missing() -> None:
    assert not text._installed("no_such_package.inner")
    assert not text._installed("json.no_such_module") and text._installed("json.decoder")
