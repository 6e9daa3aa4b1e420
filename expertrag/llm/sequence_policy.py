"""How the tokens of a sequence are computed, and which sequences may share its cached prefixes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag_kernels.routing import AS_THE_MODEL, Routing

if TYPE_CHECKING:
    from expertrag.llm.adapters.loaded import LoadedAdapter
    from expertrag.llm.expert_pattern import ExpertPattern

Root = int | tuple[int, str, Routing, str, str]
"""What the first page of a sequence follows in the prefix cache."""

ROOT: Root = 0
"""Root of the sequences of a model without experts, and without a salt."""


@dataclass(frozen=True, slots=True)
class SequencePolicy:
    """All that changes the keys of a sequence besides its tokens, and the salt of its caller.

    A request names these by ``Sampling``, its domain and its caller; see
    :meth:`expertrag.llm.base.Generator.make_policy`.

    expert: of all tokens, overriding the routers; negative to follow the routers
    routing: which of the experts that routers choose are used
    pattern: which experts routers may choose; None for all
    adapter: of all tokens
    salt: sequences with another salt share no cached prefix with this one
    """

    expert: int = -1
    routing: Routing = AS_THE_MODEL
    pattern: ExpertPattern | None = None
    adapter: LoadedAdapter | None = None
    salt: str = ""

    @property
    def root(self) -> Root:
        """The root of the prefixes of a sequence: policies with equal keys and salts have one.

        It names the adapter by its digest and the pattern by its domain. A cached page therefore
        does not keep the weights of an unloaded adapter in memory.
        """
        adapter = self.adapter.info.digest if self.adapter else ""
        pattern = self.pattern.name if self.pattern else ""
        if self.salt or adapter or pattern or self.expert >= 0 or self.routing != AS_THE_MODEL:
            return self.expert, self.salt, self.routing, adapter, pattern
        return ROOT
