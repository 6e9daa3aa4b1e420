"""``expertrag health``: exit codes against real servers, which load, serve, stop or are absent."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import trustme
from command_line import Run
from serving_fixtures import Background, OpenPipeline, StartServer

from expertrag.answer.pipeline import Pipeline
from expertrag.config import TlsConfig


def test_a_server_that_accepts_calls_ends_with_0(run: Run, start_server: StartServer) -> None:
    server = start_server(lame_duck_s=0)
    assert run("health", server.address).ok().out == (
        f"the server at {server.address} accepts calls\n"
    )


def test_a_server_that_loads_ends_with_7_until_it_is_ready(
    run: Run, start_server: StartServer, open_pipeline: OpenPipeline, background: Background
) -> None:
    loaded = threading.Event()

    def load() -> Pipeline:
        assert loaded.wait(30)
        return open_pipeline()

    server = start_server(load, wait=False, lame_duck_s=0)
    run("health", server.address, "--timeout", "0.2").fails(7, server.address, "not ready")
    loaded.set()
    background.run(server.wait_loaded())
    run("health", server.address).ok()


def test_no_server_ends_with_7(run: Run, tmp_path: Path) -> None:
    run("health", f"unix:{tmp_path}/none", "--timeout", "0.2").fails(7, "not ready")


def test_without_an_address_it_asks_where_serve_would_listen(
    run: Run, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = start_server(lame_duck_s=0).address.rpartition(":")[2]
    monkeypatch.setenv("EXPERTRAG_SERVICE_ADDRESS", f"0.0.0.0:{port}")
    monkeypatch.setenv("EXPERTRAG_TOKEN", "which-is-not-sent")
    assert f"127.0.0.1:{port}" in run("health").ok().out
    monkeypatch.setenv("EXPERTRAG_SERVICE_ADDRESS", "[::]:1")
    run("health", "--timeout", "0.2").fails(7, "[::1]:1")


def test_tls_with_another_name_than_the_address(
    run: Run, start_server: StartServer, tmp_path: Path
) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("rag.example.org")
    own.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    pem = str(tmp_path / "server.pem")
    server = start_server(tls=TlsConfig(cert=pem, key=pem), lame_duck_s=0)
    ask = ("health", server.address, "--ca", tmp_path / "ca.pem")
    run(*ask, "--server-name", "rag.example.org").ok()
    run(*ask, "--timeout", "0.3").fails(7)
    run("health", server.address, "--ca", tmp_path / "none.pem").fails(2, "none.pem")


def test_what_is_no_address_ends_with_2(run: Run) -> None:
    run("health", "./store").fails(2, "HOST:PORT")
