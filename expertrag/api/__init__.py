"""Shared by clients and servers: value objects, errors and request validation.

types.py        requests, answers, decisions, passages
errors.py       the errors of the public API
validation.py   checks on requests
folding.py      folds the events of an answer into one value
"""
