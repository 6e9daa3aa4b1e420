"""Domain experts inside a sentence-transformers encoder."""
