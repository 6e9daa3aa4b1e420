"""Change the experts of token-routed mixtures, for a team's own traffic, and verify the result.

:mod:`profiling` measures how much each expert matters, :mod:`changes` writes mixtures with fewer
experts, :mod:`verification` compares them with the model that they were made from.
:mod:`candidates` chooses adapters and open rows for a task by a few labelled rows.
"""
