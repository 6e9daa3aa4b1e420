"""The domain router: which expert a text is for, how sure that is, and why."""
