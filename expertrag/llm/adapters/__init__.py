"""Trained updates of a frozen model: low-rank ones and parallel adapters, and their bundle."""
