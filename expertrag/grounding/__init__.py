"""Compare texts by what they say: values, words, versions. No language model is called.

ground.py         matches the sentences of an answer to the spans of passages that support them
judge.py          why a span does not support a sentence
former.py         a value that a passage calls former
coverage.py       signals of an answer, for the probability that it is right
evidence.py       the sentences of passages with their contents
wording.py, rows.py       words and values of a sentence, and of a row of a table
values/           numbers with units, dates, times and schedules
agreement.py      whether two answers say the same
versions.py, amendments.py   the newest version of a document, and what amends it
conflicts.py      what older versions say instead
"""
