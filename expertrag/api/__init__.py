"""What callers and servers share: value objects, errors, the checks of a request.

types.py        requests, answers, decisions, passages
errors.py       the errors of the public API
validation.py   limits of what a caller sends
folding.py      the events of an answer, folded into one value
"""
