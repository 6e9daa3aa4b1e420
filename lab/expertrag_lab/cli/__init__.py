"""Commands that the lab adds to ``expertrag``, by the entry points ``expertrag.commands``."""
