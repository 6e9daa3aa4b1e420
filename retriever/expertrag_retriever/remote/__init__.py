"""Embedders and rerankers on model servers."""
