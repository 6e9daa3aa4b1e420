"""Read and write data sets, counterfactual rows and training pairs.

datasets.py, qrels.py, files.py    folders in the BEIR layout
rows.py                            counterfactual rows
pairs.py, pair_files.py            training pairs of domains
domain_texts.py, named_sets.py     texts of domains; the values of ``--data``
resume.py                          long runs that can be interrupted and resumed
types.py                           value objects
"""
