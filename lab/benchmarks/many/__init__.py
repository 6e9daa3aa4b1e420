"""Questions about sets of documents over the folders of four invented organisations.

question.py    a question, what its answer needs, and the kinds
asking.py      collects the questions of a folder; every expected value is computed from its facts
files.py       writes tables, records, front matter, mails and pages
prose.py       names, dates and amounts in words, and the filler of long texts
brightwater.py, lindenhof.py, tallis.py, quillmarlow.py
               the facts of a folder; ``*_files.py`` writes its files, ``*_asked.py`` its questions
folders.py     all folders and questions, and the halves
stores.py      folders and stores on disk, and the answers to questions
answer.py      an answer as served
stated.py      the numbers that a text states
judge.py       when an answer to a question is right
figures.py     figures of judged answers
access.py      what a caller with restricted access learns of hidden files

The facts of a folder write its files and answer its questions. Texts and questions were written
before any answer of the system to them was looked at.
"""
