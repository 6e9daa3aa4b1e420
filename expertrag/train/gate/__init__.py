"""Gates that are fitted on counterfactual rows: from the rows' signals to a bundle and back.

signals.py   what is measured of a row before the gate decides
material.py  rows with their signals, and what a gate is worth on them
fit.py       rows to a gate: fit, calibrate, refit
card.py      what a gate is worth, in words
source.py    the models that a gate's signals come from
"""
