"""What of the document stores a caller may see."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """A caller's tenant, and the access labels that it has.

    ``labels``: None sees every document of a collection; else those without labels, and those with
    one of ``labels``.
    """

    tenant: str = ""
    labels: frozenset[str] | None = None

    @property
    def cache_salt(self) -> str:
        """Key of cached prompt prefixes: callers who see different documents share none.

        Otherwise the time of an answer would tell that another caller's prompt began alike.
        """
        if not self.tenant and self.labels is None:
            return ""
        labels = "*" if self.labels is None else "\0".join(sorted(self.labels))
        return hashlib.blake2b(f"{self.tenant}\1{labels}".encode(), digest_size=16).hexdigest()


EVERYTHING = Access()
"""The access of a process that has the files: an in-process client, or a server without tokens."""
