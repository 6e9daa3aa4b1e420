"""Adapters of a frozen model: low-rank updates and parallel adapters, and their bundle."""
