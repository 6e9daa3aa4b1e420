"""Evaluations of retrieval, the gate and the answers, with significance tests, without a judge.

questions.py, serving.py, stores.py   the system under test, over a data set's corpus
record.py              answers every question closed and open book, and writes rows; resumable
retrieval.py, answer.py, gate.py, cost.py, consistency.py   one evaluation each
ranking.py, policies.py, gates.py, paraphrase.py, replies.py, judge.py   parts of evaluations
report/                report.json, report.md and report.html of an evaluation
compare.py, library.py, checks/   compare reports; list data sets, rows and reports; check them

Data sets and rows are read by ``expertrag_lab.data``; measures and tests are in
``expertrag_lab.metrics``.
"""
