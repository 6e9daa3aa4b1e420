"""Data sets and what is made of them, read and written.

datasets.py, qrels.py, files.py    folders of the BEIR layout
rows.py                            counterfactual rows
pairs.py, pair_files.py            training pairs of domains
domain_texts.py, named_sets.py     texts of domains; what ``--data`` names
resume.py                          long work that can be killed
types.py                           value objects
"""
