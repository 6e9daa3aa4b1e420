"""``serve``, ``ask``, ``retrieve``, ``gate``: a real server process, the real default models."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from command_line import Ran, Run
from serving_fixtures import OpenPipeline, StartServer

from expertrag.answer.pipeline import Pipeline
from expertrag.cli.output import printable
from expertrag.client import Client
from expertrag.config import GateConfig, QuotaConfig

READY_S = 90.0


@pytest.fixture(scope="module")
def server(
    built: Path, reader_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of ``expertrag serve``; it must end with 0 on SIGTERM."""
    folder = tmp_path_factory.mktemp("serve")
    address = f"unix:{folder}/s"
    log = (folder / "log").open("w+")
    command = [sys.executable, "-m", "expertrag", "serve"]
    process = subprocess.Popen(
        [*command, "--index", str(built)],
        env={**os.environ, "EXPERTRAG_SERVICE_ADDRESS": address},
        stdout=subprocess.PIPE,
        stderr=log,
    )
    try:
        with Client(address) as client:
            client.wait_ready(READY_S)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
        log.seek(0)
        lines = log.read().splitlines()
        log.close()
    assert (process.returncode, out) == (0, b""), lines
    assert all(json.loads(line)["level"] for line in lines)
    assert "compost" not in "".join(lines)  # questions are not logged


def test_ask_waits_while_the_server_loads(
    run: Run, start_server: StartServer, open_pipeline: OpenPipeline
) -> None:
    loaded = threading.Event()

    def load() -> Pipeline:
        assert loaded.wait(30)
        return open_pipeline()

    server = start_server(load, wait=False)
    threading.Timer(0.5, loaded.set).start()
    asked = run("ask", "-q", "How many?", "--server", server.address, "--mode", "never")
    assert (asked.code, asked.err) == (0, "the server is loading its models\n")


def test_ask_prints_the_answer_on_stdout_and_the_facts_on_stderr(run: Run, server: str) -> None:
    ask = ("ask", "--server", server, "--mode", "always", "--max-tokens", 8, "-k", 2)
    ran = run(*ask, "When are backups made?").ok()
    assert ran.out.strip() and ran.out.endswith("\n") and "\n\n" not in ran.out
    _, *lines = ran.err.splitlines()
    assert lines[0].startswith(("Supported by the documents.", "Check this: ", "Sources: "))
    assert any(line.startswith("Source") for line in lines)
    assert any(line.startswith("Gate: retrieve (always") for line in lines)
    assert "model alone" not in ran.err and "Cost: " not in ran.err
    several = run(*ask, "When", "are", "-q", "backups", "made?").ok()
    assert (several.out, several.err) == (ran.out, "")
    verbose = run(*ask, "-v", "When are backups made?").ok()
    assert verbose.out == ran.out
    *_, cost = verbose.err.splitlines()
    assert "Passages:\n  1. " in verbose.err and "(route " in cost
    assert cost.startswith("Cost: lm_calls ") and "retrieval_calls 1" in cost


def test_ask_reads_the_question_from_stdin(
    run: Run, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(text: bytes) -> Ran:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
        return run("ask", "-", "--server", server, "--mode", "never", "--max-tokens", 4, "-q")

    typed = run("ask", "What is rué?", "--server", server, "--mode", "never", "--max-tokens", 4)
    assert asked("What is rué?\n".encode()).ok().out == typed.out
    asked(b"  \n").fails(2, "question")
    asked(b"What is ru\xe9?\n").fails(2, "stdin is not UTF-8 text")


def test_ask_marks_answers_from_the_model_alone(run: Run, server: str) -> None:
    ask = ("ask", "When are backups made?", "--server", server, "--max-tokens", 4)
    ran = run(*ask, "--mode", "never").ok()
    assert ran.err.splitlines()[0] == "From the model alone, not from your documents:"
    assert len(ran.out.splitlines()) == 1
    nothing = ("--filter", '{"source": "of nobody"}')
    assert run(*ask, "--mode", "strict", *nothing).out.startswith("The documents do not hold")


def test_ask_as_json_is_one_value(run: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERTRAG_SERVER", server)
    ran = run("ask", "What is compost?", "--mode", "never", "--max-tokens", 8, "--json")
    answer = ran.json()
    assert (ran.code, ran.err) == (0, "")
    assert answer["decision"]["action"] == "closed_book"
    assert (answer["from_documents"], answer["unsupported_reason"]) == (False, "")
    assert answer["usage"]["lm_calls"] == 1
    assert (answer["passages"], answer["citations"]) == ([], [])


def test_ask_constrains_the_answer(run: Run, server: str, tmp_path: Path) -> None:
    ask = ("ask", "What is compost?", "--server", server, "--mode", "never", "--json")
    answer = run(
        *ask, "--choice", "soil", "--choice", "a sea", "--set", "request.logprobs=1"
    ).json()
    assert answer["text"] in ("soil", "a sea")
    assert "".join(token["text"] for token in answer["logprobs"]) == answer["text"]
    assert len(answer["logprobs"][0]["top"]) == 1
    schema = tmp_path / "schema.json"
    schema.write_text('{"enum": [1, "two"]}')
    assert json.loads(run(*ask, "--json-schema", schema).json()["text"]) in (1, "two")
    grammar = tmp_path / "grammar.lark"
    grammar.write_text('start: "so" "il"')
    assert run(*ask, "--grammar", grammar).json()["text"] == "soil"


def test_retrieve_and_gate(run: Run, server: str) -> None:
    ran = run("retrieve", "manual", "--server", server, "-k", 2, "--json")
    assert [len(ran.json()["passages"]), ran.code] == [2, 0]
    assert run("retrieve", "manual", "--server", server).out.startswith("1. ")
    ran = run("gate", "explain", "What is in the manual?", "--server", server, "--json")
    decision = ran.json()
    assert decision["action"] in {"closed_book", "retrieve"}
    assert decision["reason"]
    assert run("gate", "explain", "Hello", "--server", server).out.startswith("Gate: ")


def test_the_mode_of_a_server_holds_unless_one_is_named(
    run: Run,
    start_server: StartServer,
    open_pipeline: OpenPipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strict = start_server(lambda: open_pipeline(policy=GateConfig(mode="strict"))).address
    for command in (("gate", "explain"), ("ask",)):
        asked = (*command, "Say hello.", "--server", strict, "--json")

        def mode(*options: str, asked: tuple[str, ...] = asked) -> str:
            found = run(*asked, *options).json()
            return str(found.get("decision", found)["mode"])

        assert (mode(), mode("--mode", "auto")) == ("strict", "auto")
        with monkeypatch.context() as patch:
            patch.setenv("EXPERTRAG_GATE_MODE", "never")
            assert mode() == "never"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ask", ""), "question"),
        (("ask", "x", "-q", "-v"), "-q and -v exclude each other"),
        (("ask", "x", "--set", "request.frequency_penalty=3"), "frequency_penalty"),
        (("ask", "x", "--regex", "(ab"), "constraint.regex: cannot be enforced (unclosed group)"),
        (("ask", "x", "--regex", "a", "--choice", "b"), "sets regex and choices"),
        (("ask", "x", "--json-schema", __file__), "constraint.json_schema: is not JSON"),
        (("retrieve", "x", "--filter", '{"flavour": "mint"}'), "flavour"),
    ],
)
def test_bad_requests_end_with_2(
    run: Run, server: str, arguments: tuple[str, ...], message: str
) -> None:
    run(*arguments, "--server", server).fails(2, message)


def test_a_deadline_and_an_absent_server_end_with_7(run: Run, server: str, tmp_path: Path) -> None:
    run("ask", "Tell me a story", "--server", server, "--timeout", "0.001").fails(7)
    run("ask", "x", "--server", f"unix:{tmp_path}/none", "--timeout", "5").fails(7)


def test_a_port_in_use_is_a_conflict(spawn: Run, built: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        spawn("serve", "--index", built, "--address", address).fails(6, "in use")


def test_the_base_install_asks_a_server(spawn: Run, server: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "for name in ('torch', 'numpy', 'faiss', 'transformers', 'structlog', 'tqdm',\n"
        "             'platformdirs', 'yaml', 'grpc_health', 'grpc_reflection'):\n"
        "    sys.modules[name] = None\n",
        encoding="utf-8",
    )
    ran = spawn(
        "ask", "Hello", "--server", server, "--max-tokens", "4", env={"PYTHONPATH": str(tmp_path)}
    )
    assert "Gate: " in ran.ok().err


@pytest.mark.parametrize("command", ["ask", "retrieve", "gate explain", "serve"])
def test_a_missing_store_ends_with_4(run: Run, tmp_path: Path, command: str) -> None:
    question = [] if command == "serve" else ["x"]
    run(*command.split(), *question, "--index", tmp_path / "none").fails(4)


def test_control_characters_are_removed() -> None:
    assert printable("\x1b[2Jred\x07 \x9b1m\r\n\tok") == "[2Jred 1m\n\tok"


def test_a_command_costs_one_request(run: Run, start_server: StartServer) -> None:
    """Whether the server is ready, a command asks for free."""
    server = start_server(quota=QuotaConfig(requests=2)).address
    for _ in range(2):
        run("ask", "When?", "--mode", "never", "--max-tokens", 1, "--server", server).ok()
    run("ask", "When?", "--server", server).fails(7, "quota of 2 requests per minute is used up")
