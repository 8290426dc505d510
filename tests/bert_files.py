"""A small random BERT sentence encoder and its tokenizer, in Hugging Face form."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

WORDS = "make it snowy at night add a red hat to the mountain ##s please sunset warmer".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def write_tiny_bert(folder: Path, *, dim: int = 32, max_positions: int = 512) -> Path:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *dict.fromkeys(WORDS)])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # As all-MiniLM-L6-v2's own file: padding to 128 that the reader must switch off.
    tokenizer.enable_padding(length=128)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "vocab_size": len(vocabulary),
        "hidden_size": dim,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 2 * dim,
        "max_position_embeddings": max_positions,
        "layer_norm_eps": 1e-12,
    }
    (folder / "config.json").write_text(json.dumps(config))
    noise = torch.Generator().manual_seed(1)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        value: torch.Tensor = torch.randn(rows, columns, generator=noise) / columns**0.5
        return value

    def linear(name: str, rows: int, columns: int) -> dict[str, torch.Tensor]:
        bias = 0.1 * torch.randn(rows, generator=noise)
        return {f"{name}.weight": matrix(rows, columns), f"{name}.bias": bias}

    def norm(name: str) -> dict[str, torch.Tensor]:
        bias = 0.1 * torch.randn(dim, generator=noise)
        return {f"{name}.weight": 1 + bias.flip(0), f"{name}.bias": bias}

    state = {
        "embeddings.word_embeddings.weight": matrix(len(vocabulary), dim),
        "embeddings.position_embeddings.weight": matrix(max_positions, dim),
        "embeddings.token_type_embeddings.weight": matrix(2, dim),
        "embeddings.position_ids": torch.arange(max_positions)[None],
        **norm("embeddings.LayerNorm"),
        **linear("pooler.dense", dim, dim),
    }
    for i in range(2):
        layer = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            state |= linear(f"{layer}.attention.self.{part}", dim, dim)
        state |= linear(f"{layer}.attention.output.dense", dim, dim)
        state |= norm(f"{layer}.attention.output.LayerNorm")
        state |= linear(f"{layer}.intermediate.dense", 2 * dim, dim)
        state |= linear(f"{layer}.output.dense", dim, 2 * dim)
        state |= norm(f"{layer}.output.LayerNorm")
    save_file(state, folder / "model.safetensors")
    return folder
