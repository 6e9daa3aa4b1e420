"""Who calls: tokens, JSON Web Tokens, and what a caller may do, see and cost."""

from __future__ import annotations

from expertrag.auth.authenticator import Authenticator
from expertrag.auth.caller import LOCAL, Caller, Scope
from expertrag.auth.quota import Quota

__all__ = ["LOCAL", "Authenticator", "Caller", "Quota", "Scope"]
