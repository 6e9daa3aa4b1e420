"""Engines that hold the vectors of a store: PostgreSQL with pgvector, and Qdrant."""
