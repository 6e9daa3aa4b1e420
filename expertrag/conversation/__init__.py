"""Questions in a conversation: whether one stands alone, and how to make it do so.

Only the standard library and ``expertrag.api`` are imported. The word lists are English; a question
in another language is taken as it is.
"""
