"""Choose adapters, and rows of an open set, for a task that a few labelled questions show."""
