"""Embedding experts inside a sentence-transformers encoder."""
