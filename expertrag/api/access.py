"""Which documents of the stores a caller may see."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """A caller's tenant, and the access labels that it has.

    ``labels``: None sees every document of a collection; else the caller sees the documents without
    labels, and the documents with one of ``labels``.
    """

    tenant: str = ""
    labels: frozenset[str] | None = None

    def cache_salt(self, caller: str) -> str:
        """Key of cached prompt prefixes: callers share none.

        Otherwise the time of an answer, or the tokens that the cache saved, would tell a caller how
        another caller's prompt begins, word by word.

        :param caller: who asks; empty in process, and on a server without tokens.
        """
        if not caller and self == EVERYTHING:
            return ""
        labels = "*" if self.labels is None else "\0".join(sorted(self.labels))
        text = f"{self.tenant}\1{labels}\1{caller}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


EVERYTHING = Access()
"""The access of a process that has the files: an in-process client, or a server without tokens."""
