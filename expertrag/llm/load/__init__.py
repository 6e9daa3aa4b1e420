"""Weights, configuration and tokenizer of a model: from checkpoints, GGUF files, packed folders."""
