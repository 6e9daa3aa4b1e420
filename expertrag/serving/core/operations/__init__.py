"""What a server does for its callers, whatever door they use: one function per call.

Each takes the state of the server, the context of the call and a request, and returns a value of
``expertrag.api``.
"""
