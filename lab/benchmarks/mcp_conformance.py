"""Run the conformance suite of the Model Context Protocol against our MCP server, over HTTP.

    python lab/benchmarks/mcp_conformance.py --json FILE

The suite is the package @modelcontextprotocol/conformance of npm, run by npx (it needs the network
once). Most of its scenarios call the tools and prompts of a reference server and cannot be met by
another one; they are counted, and only checked to exchange valid messages. It fails if a check of
the others does.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from results_file import parser, write
from starlette.applications import Starlette

from expertrag.client import AsyncClient
from expertrag.config import ModelConfig
from expertrag.serving.mcp import McpEndpoint, mcp_server
from expertrag.stores.embedders import open_embedder
from expertrag_index.build.writer import IndexWriter
from expertrag_index.types import Document

CODE = ("expertrag/serving/mcp", "lab/benchmarks/mcp_conformance.py")
SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
NPX = ("npx", "--yes", "--package=node@22", f"--package={SUITE}", "conformance", "server")
ANY_SERVER = (
    "server-initialize",
    "server-stateless",
    "server-session-lifecycle",
    "server-sse-multiple-streams",
    "ping",
    "tools-list",
    "resources-list",
    "sep-2164-resource-not-found",
    "dns-rebinding-protection",
    "caching",
    "http-header-validation",
    "input-required-result-unsupported-methods",
)
"""Scenarios that any server can meet, in the versions that have them."""
_TOOL = "needs a tool of the reference server"
OF_THE_REFERENCE = {
    "sep-2575-server-rejects-undeclared-capability": _TOOL,
    "sep-2575-missing-capability-http-400": _TOOL,
    "sep-2575-http-server-no-independent-requests-on-stream": _TOOL,
    "sep-2575-server-no-log-without-loglevel": _TOOL,
    "sep-2549-prompts-list-caching-hints": "needs prompts",
}
"""Checks in those that this server cannot meet, and why."""
VALID = "wire-schema-valid"
_NAMED = re.compile(r"^server-|-\d{4}-\d\d-\d\dT.*$")
"""What is in the name of a folder of results beside that of the scenario: the time."""
VERSIONS = ("2025-11-25", "2026-07-28")


def main() -> None:
    """Run the suite for each version of the protocol, and report."""
    arguments = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as work, served(Path(work) / "store") as url:
        found = {version: run(url, version, Path(work) / version) for version in VERSIONS}
    write(arguments.json, {"suite": SUITE, "versions": found}, CODE)
    failed = {version: report["failed"] for version, report in found.items() if report["failed"]}
    for version, report in found.items():
        print(
            f"{version}: {sum(report['passed'].values())} checks of {len(report['passed'])} "
            f"scenarios passed; {len(report['failed'])} failed",
            file=sys.stderr,
        )
    sys.exit(f"failed: {failed}" if failed else 0)


def run(url: str, version: str, out: Path) -> dict[str, Any]:
    """Run all scenarios of a version; return what passed, failed and could not be met."""
    options = ["--url", url, "--suite", "all", "--spec-version", version, "-o", str(out)]
    subprocess.run([*NPX, *options], stdout=subprocess.DEVNULL, check=False)  # 1: a check failed
    reports = {name: json.loads(path.read_text("utf-8")) for name, path in sorted(_reports(out))}
    if not reports:
        raise SystemExit(
            "the suite did not run; it needs npx (Node.js 20 or newer) and the network"
        )
    mine = {name: checks for name, checks in reports.items() if name in ANY_SERVER}
    counts = {name: _passed(checks) for name, checks in mine.items()}
    failed = [
        f"{name}: {check['id']}: {check.get('errorMessage', '')}"
        for name, checks in reports.items()
        for check in checks
        if check["status"] == "FAILURE"
        and (name in mine or check["id"] == VALID)
        and check["id"] not in OF_THE_REFERENCE
    ]
    return {
        "passed": {name: passed for name, passed in counts.items() if passed},
        "skipped": [name for name, passed in counts.items() if not passed],
        "failed": failed,
        "not_met": {
            check["id"]: OF_THE_REFERENCE[check["id"]]
            for checks in mine.values()
            for check in checks
            if check["status"] == "FAILURE" and check["id"] in OF_THE_REFERENCE
        },
        "of_the_reference_server": sorted(reports.keys() - mine.keys()),
        "with_valid_messages": sum(
            any(check["id"] == VALID and check["status"] == "SUCCESS" for check in checks)
            for checks in reports.values()
        ),
    }


def _reports(out: Path) -> Iterator[tuple[str, Path]]:
    """Yield the names of the scenarios and the files of their checks."""
    for path in out.glob("*/checks.json"):
        yield _NAMED.sub("", path.parent.name), path


def _passed(checks: Sequence[Any]) -> int:
    return sum(check["status"] == "SUCCESS" for check in checks)


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Serve a store of three documents on a free port of the loopback; yield the URL."""
    with IndexWriter.open(store, open_embedder(ModelConfig(), None)) as writer:
        writer.build([Document(id=f"note-{n}", text=f"This is note {n}.") for n in range(3)])
    client = AsyncClient(store)
    endpoint = McpEndpoint(mcp_server(lambda _: client, writes=True))

    app = Starlette(routes=[endpoint.route()], lifespan=lambda _: endpoint.running())
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    listening = socket.create_server(("127.0.0.1", 0))

    async def serve() -> None:
        async with client:
            await client.wait_ready()
            await server.serve(sockets=[listening])

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


if __name__ == "__main__":
    main()
