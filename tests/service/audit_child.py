"""A server with an audit log in its own process: ``audit_child.py ADDRESS STORE EMBEDDER LOG``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from serving_fixtures import PacedGenerator

from expertrag.audit import Audit
from expertrag.config import AuditConfig, ServiceConfig
from expertrag.service import serve

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline


def load() -> Pipeline:
    """Open the store."""
    from expertrag.answer.pipeline import Pipeline
    from expertrag_retriever.encoder import load_embedder

    audit = Audit.of(AuditConfig(path=sys.argv[4]))
    return Pipeline(Path(sys.argv[2]), load_embedder(sys.argv[3]), PacedGenerator(), audit=audit)


if __name__ == "__main__":
    asyncio.run(serve(ServiceConfig(address=sys.argv[1]), load))
