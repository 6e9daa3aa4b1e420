"""The domain router: which expert serves a text, with what probability, and why."""
