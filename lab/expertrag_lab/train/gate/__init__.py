"""Fit retrieval gates on counterfactual rows.

signals.py      signals of a row, as available before the gate decides
material.py     rows with their signals and labels; figures of a gate on them
design.py       the columns that a gate is fitted on
learners.py     fit one model; evidential.py and smoothing.py fit two of them
calibrators.py  fit the calibration of a model
predictor.py    choose, fit and calibrate a model
sufficiency.py  fit the judge of passages
fit.py          fit, calibrate and refit a gate
card.py         the gate's card (README.md)
source.py       the models that compute a gate's signals
"""
