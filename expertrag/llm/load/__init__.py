"""Load a model's weights, configuration and tokenizer: checkpoints, GGUF files, packed folders."""
