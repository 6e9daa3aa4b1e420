"""``expertrag mcp`` as applications start it: a process that speaks on stdin and stdout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_helper import ERAS, MODERN, failure, value
from reader_samples import write_tiny_reader
from serving_fixtures import TOPICS, Background, OpenPipeline, PacedGenerator, StartServer

from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.config import AuthConfig
from expertrag_common.extras import install_command

T = TypeVar("T")
COMMAND = ["-m", "expertrag", "mcp"]
Start = Callable[..., Any]

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@pytest.fixture
def start(background: Background, reader_path: Path, tmp_path: Path) -> Start:
    """Starts the command with the package's client, and runs ``use`` with it."""
    del reader_path  # it is there: the command finds it by its name

    def run(
        use: Callable[[Client], Awaitable[T]], *arguments: Any, era: str = MODERN, **env: str
    ) -> T:
        async def session() -> T:
            command = StdioServerParameters(
                command=sys.executable,
                args=[*COMMAND, *map(str, arguments)],
                env={**os.environ, **env},
            )
            with (tmp_path / "stderr").open("w") as errors:
                async with Client(stdio_client(command, errlog=errors), mode=era) as client:
                    return await use(client)

        return background.run(session(), timeout=120)

    return run


def spoken(*messages: Any, arguments: list[str], timeout: float = 120) -> tuple[int, str, str]:
    """Write lines to the command, close its stdin; return its exit code, stdout and stderr."""
    lines = "".join(f"{json.dumps(message)}\n" for message in messages)
    done = subprocess.run(
        [sys.executable, *COMMAND, *arguments],
        input=lines,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_store_over_stdio(start: Start, built_store: Path) -> None:
    async def use(client: Client) -> None:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert tools == ["search", "fetch", "answer", "explain_gate"]
        found = value(await client.call_tool("search", {"query": "paid leave"}))
        assert found["results"][0]["id"] == "office/leave"
        fetched = value(await client.call_tool("fetch", {"id": "office/leave"}))
        assert fetched["text"] == TOPICS["office"]["leave"]
        asked = {"question": "How many days of leave do employees get?", "mode": "always"}
        answer = value(await client.call_tool("answer", asked))
        assert "27" in answer["text"]
        assert answer["sources"][0]["id"] == "office/leave"

    start(use, built_store)


def test_a_store_is_written_to_where_allowed(
    start: Start, own_store: Path, smollm_path: Path, tmp_path: Path
) -> None:
    reader = write_tiny_reader(tmp_path / "reader", smollm_path)

    async def use(client: Client) -> None:
        document = {"id": "office/bicycle", "text": "A bicycle can be leased at Northwind."}
        assert value(await client.call_tool("add_document", document))["change"] == "added"
        found = value(await client.call_tool("search", {"query": "lease a bicycle"}))
        assert found["results"][0]["id"] == "office/bicycle"
        assert value(await client.call_tool("delete_document", {"id": "office/bicycle"}))

    start(use, "--index", own_store, "--generator", reader, "--allow-writes")


@pytest.mark.parametrize("era", ERAS)
def test_a_server_over_stdio(
    start: Start,
    era: str,
    start_server: StartServer,
    open_pipeline: OpenPipeline,
    own_store: Path,
    tmp_path: Path,
) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    reader, writer = (
        tokens.create(scope, frozenset({Scope.READ, Scope(scope)})).text
        for scope in (Scope.READ, Scope.WRITE)
    )
    server = start_server(
        lambda: open_pipeline(store=own_store),
        auth=AuthConfig(tokens=str(tokens.path)),
        allow_writes=True,
    )
    document = {"id": "office/bicycle", "text": "A bicycle can be leased at Northwind."}

    async def write(client: Client) -> Any:
        return await client.call_tool("add_document", document)

    arguments = [server.address, "--allow-writes"]
    assert "write" in failure(start(write, *arguments, era=era, EXPERTRAG_TOKEN=reader))
    (tmp_path / "token").write_text(writer)
    added = start(write, *arguments, "--token-file", tmp_path / "token", era=era)
    assert value(added)["change"] == "added"
    assert "token" in failure(start(write, *arguments, era=era))


def test_a_server_needs_the_sdk_alone(
    start: Start, start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "for name in ('torch', 'numpy', 'faiss', 'transformers', 'structlog', 'tqdm',\n"
        "             'platformdirs', 'yaml', 'grpc_health', 'grpc_reflection'):\n"
        "    sys.modules[name] = None\n"
    )

    async def use(client: Client) -> Any:
        return value(await client.call_tool("fetch", {"id": "office/leave"}))["text"]

    text = start(use, "--server", start_server().address, PYTHONPATH=str(tmp_path))
    assert text == TOPICS["office"]["leave"]


def test_stdout_holds_the_protocol_alone(start_server: StartServer) -> None:
    asked = {"name": "search", "arguments": {"query": "paid leave of the zircon project"}}
    code, out, err = spoken(
        INITIALIZE,
        INITIALIZED,
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": asked},
        arguments=[start_server().address],
    )
    answers = {answer["id"]: answer for answer in map(json.loads, out.splitlines())}
    assert answers[1]["result"]["protocolVersion"] == "2025-06-18"
    assert answers[1]["result"]["serverInfo"]["name"] == "expertrag"
    assert len(answers[2]["result"]["tools"]) == 4
    found = json.loads(answers[3]["result"]["content"][0]["text"])  # though stdin was closed
    assert found["results"][0]["id"] == "office/leave"
    assert code == 0
    assert "zircon" not in err  # queries are not logged
    assert "Traceback" not in err


def test_a_cancelled_request_is_not_waited_for(
    start_server: StartServer, open_pipeline: OpenPipeline
) -> None:
    slow = PacedGenerator(step_s=0.1, words=5000)
    asked = {"name": "answer", "arguments": {"question": "Who prunes roses?", "mode": "never"}}
    code, out, _ = spoken(
        INITIALIZE,
        INITIALIZED,
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": asked},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}},
        arguments=[start_server(lambda: open_pipeline(slow)).address],
    )
    assert code == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == [1]


def test_lines_that_are_no_requests_do_not_end_it(start_server: StartServer) -> None:
    code, out, _ = spoken(
        "text", {"jsonrpc": "2.0"}, INITIALIZE, arguments=[start_server().address]
    )
    assert code == 0
    assert json.loads(out.splitlines()[-1])["result"]["serverInfo"]["name"] == "expertrag"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_stdin_is_open(
    start_server: StartServer, kind: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, *COMMAND, start_server().address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{json.dumps(INITIALIZE)}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.send_signal(kind)
        assert process.wait(timeout=30) == -kind


def test_a_person_at_a_terminal_is_told_what_it_waits_for() -> None:
    terminal, stdin = os.openpty()
    with subprocess.Popen(
        [sys.executable, *COMMAND, "localhost:1"],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert "An application starts this command" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == -signal.SIGINT
    os.close(stdin)
    os.close(terminal)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no-such-store"], 4, "no-such-store"),
        (["--index", "no-such-store"], 4, "no-such-store"),
        (["."], 4, "no store at ."),
        (["--allow-everything"], 2, "--allow-everything"),
    ],
)
def test_a_wrong_target_ends_it_at_once(arguments: list[str], code: int, message: str) -> None:
    ended, out, err = spoken(INITIALIZE, arguments=arguments)
    assert (ended, out) == (code, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['mcp'] = None\n")
    done = subprocess.run(
        [sys.executable, *COMMAND, "localhost:1"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (9, "")
    assert done.stderr == f"error: MCP needs the package mcp; run: {install_command('http')}\n"
