"""What retrieval, the gate and the answers are worth: measured, with significance, judge-free.

datasets.py, rows.py   what is read: BEIR-layout data sets, counterfactual rows
questions.py, serving.py, stores.py   the system under test, over a data set's corpus
record.py, resume.py   answers every question closed and open book, and writes rows; can be killed
retrieval.py, answer.py, gate.py, cost.py, consistency.py   one evaluation each
squad.py, measures.py, calibration.py, frontier.py, stats.py   the measures and tests
report/                report.json, report.md and report.html from what an evaluation gives
compare.py, library.py, checks/   what changed between reports; what is there; what is wrong with it
"""
