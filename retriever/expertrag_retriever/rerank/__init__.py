"""Reranking: a second look at the candidates of a search, by a model that reads both texts."""
