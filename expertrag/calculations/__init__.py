"""Compute what a question asks from numbers of tables in passages: changes, shares, averages."""
