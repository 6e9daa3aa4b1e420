"""Train what a question asks of the documents, for ``expertrag.answer.scope``."""
