"""Convert models: upcycle dense ones, merge adapters, write checkpoints and GGUF files."""
