"""The reader: the language model trained to answer from passages, cite and abstain."""
