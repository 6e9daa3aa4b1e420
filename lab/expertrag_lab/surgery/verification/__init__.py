"""Compare a changed model with the one that it was made from, and refuse it if it lost too much."""
