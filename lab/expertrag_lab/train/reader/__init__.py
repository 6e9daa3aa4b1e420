"""Training of readers: language models that answer from passages, cite them, and abstain."""
