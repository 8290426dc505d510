"""Training: the tokenizer stage and the editor stage, each driven by a recipe file."""
