"""A checker of the newest protocol, run against a server as a user would."""

from __future__ import annotations

import json
import subprocess
import sys

from mcp_helper import Connected, ServeHttp
from serving_fixtures import StartServer

from expertrag.serving.mcp import McpEndpoint, mcp_server


def test_mcpcheck_finds_nothing(
    start_server: StartServer, connected: Connected, serve_http: ServeHttp
) -> None:
    client = connected(start_server().address)
    endpoint = McpEndpoint(mcp_server(lambda _: client, writes=True))
    url = serve_http(endpoint, endpoint)
    done = subprocess.run(
        [sys.executable, "-m", "mcpcheck", url, "--strict", "--legacy-probes", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["spec_revision"] == "2026-07-28"
    assert report["summary"]["passed"] == report["summary"]["total"] == 8
    assert report["era"] == "dual-era"
