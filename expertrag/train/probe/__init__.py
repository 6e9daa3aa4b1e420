"""Training of the sufficiency probe: whether a prompt's passages hold the answer."""
