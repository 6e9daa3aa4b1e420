"""What all doors of a server share: identity, limits, metrics and the work of calls."""
