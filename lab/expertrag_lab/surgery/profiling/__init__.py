"""Measure how much each expert of a mixture matters to a team's traffic, and show it."""
