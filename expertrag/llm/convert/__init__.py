"""Convert models: upcycle dense ones, export readers, write checkpoints and GGUF files."""
