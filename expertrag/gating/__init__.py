"""Gates that are fitted on counterfactual rows: from the rows' signals to a bundle and back.

signals.py  what is measured of a row before the gate decides
fit.py      rows to a gate
source.py   the models that a gate's signals come from
"""
