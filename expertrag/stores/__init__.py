"""Stores that are served: their generations and their documents.

served_index.py   the newest generation of a store, replaced while it is in use
access.py         the documents of a served store, as one caller may see and change them
documents.py      pages of documents, chunks and skipped files
embedders.py      the embedder that a store names
"""
