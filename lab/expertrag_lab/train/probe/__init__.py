"""Training of the sufficiency probe, which predicts whether a prompt's passages hold the answer."""
