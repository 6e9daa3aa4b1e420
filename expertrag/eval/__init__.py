"""What retrieval, the gate and the answers are worth: measured, with significance, judge-free.

datasets.py, rows.py   what is read: BEIR-layout data sets, counterfactual rows
record.py              answers every question closed and open book, and writes rows
retrieval.py, answer.py, gate.py, cost.py, consistency.py   one evaluation each
squad.py, stats.py, calibration.py   the measures and tests that they share
report/                report.json, report.md and report.html from what an evaluation gives
"""
