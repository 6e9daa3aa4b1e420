"""Fit retrieval gates on counterfactual rows.

signals.py   signals of a row, as available before the gate decides
material.py  rows with their signals and labels; figures of a gate on them
fit.py       fit, calibrate and refit a gate
card.py      the gate's card (README.md)
source.py    the models that compute a gate's signals
"""
