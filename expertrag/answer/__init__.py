"""Answer a question: read, gate, search, generate, ground, or abstain."""
