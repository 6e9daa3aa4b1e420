"""Info names what a server answers without: an older generation, an audit log, a model server."""

from __future__ import annotations

import shutil
from pathlib import Path

from serving_fixtures import OpenPipeline, PacedGenerator, StartServer

from expertrag.api.types import DocumentInput
from expertrag.audit import Audit
from expertrag.client import Client


def test_problems_are_named_without_paths_of_the_server(
    start_server: StartServer,
    open_pipeline: OpenPipeline,
    own_store: Path,
    paced: PacedGenerator,
    tmp_path: Path,
) -> None:
    log = tmp_path / "log" / "audit.jsonl"
    audit = Audit(log)
    writing = start_server(lambda: open_pipeline(store=own_store), allow_writes=True)
    with Client(writing.address) as client:
        client.upsert([DocumentInput("new", "A new text.")])
        assert client.info().problems == ()
    segment = max((own_store / "segments").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    segment.write_bytes(segment.read_bytes()[:-1])
    server = start_server(lambda: open_pipeline(store=own_store, audit=audit))
    with Client(server.address) as client:
        log.parent.mkdir(exist_ok=True)
        shutil.rmtree(log.parent)
        client.answer("When are roses pruned?", mode="never", max_tokens=2)
        paced.problem = "the model server is down"
        index, dropped, model = client.info().problems
    assert index.startswith("index: ") and "answering from generation 1" in index
    assert str(tmp_path) not in index
    assert dropped == "audit: 1 decisions could not be written"
    assert model == "model: the model server is down"
