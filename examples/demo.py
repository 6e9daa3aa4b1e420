"""The demonstration: real documents, a running server, answered questions.

    python examples/demo.py --store .demo/store

Each step is a command that you can type yourself; it is printed before it runs. A second run
reuses the models and the index.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from expertrag import (
    CitationEvent,
    Client,
    DeltaEvent,
    DoneEvent,
    FinishReason,
    GateEvent,
    GateMode,
    PassagesEvent,
    UsageEvent,
    models,
)
from expertrag_kernels.cpu_experts import ISAS

HERE = Path(os.path.relpath(Path(__file__).parent))  # as a person would type it
EXPERTRAG = [sys.executable, "-m", "expertrag"]
EMBEDDER = "all-minilm-l6-v2"
QUESTIONS = (
    ("What is write-ahead logging?", GateMode.AUTO),
    ("How many legs does a spider have?", GateMode.AUTO),
    ("What does VACUUM do in PostgreSQL?", GateMode.AUTO),
    ("Say hello in French.", GateMode.AUTO),
    ("How do I create a partial index in PostgreSQL?", GateMode.AUTO),
    ("Which port does PostgreSQL listen on by default?", GateMode.STRICT),
    ("Who won the football World Cup in 1998?", GateMode.STRICT),
)


def main() -> int:
    """Run the whole way; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="folder of the demo's index")
    parser.add_argument("--documents", type=Path, default=HERE / "documents")
    arguments = parser.parse_args()

    # what --generator auto takes, once it has been pulled
    choice = models.recommend(kernels=bool(ISAS))
    print(f"generator {choice.summary}\n", flush=True)
    for model in (EMBEDDER, choice.name):
        run(["models", "pull", model])
    run(["index", "build", str(arguments.documents), "--out", str(arguments.store)])
    address = f"127.0.0.1:{free_port()}"
    with server(
        ["serve", "--index", str(arguments.store), "--address", address, "--log-level", "warning"]
    ):
        with Client(address) as client:
            client.wait_ready(timeout=120)
            for question, mode in QUESTIONS:
                ask(client, question, mode)
        print("\nstopping the server")
    print("server stopped cleanly\n")
    if choice.name == models.SMALL:
        print(
            "This language model is small (135 million parameters): trust its citations, and name"
        )
        print(
            f"a larger one with --generator where you have the hardware, such as {models.LARGE}.\n"
        )
    print("Now yours:")
    print("  .venv/bin/expertrag index build YOUR_DOCUMENTS --out my-store")
    print("  .venv/bin/expertrag serve --index my-store --http-address 127.0.0.1:8080")
    print('  .venv/bin/expertrag ask "your question"   # or open http://127.0.0.1:8080')
    return 0


def ask(client: Client, question: str, mode: GateMode) -> None:
    """Ask one question and print each event as it comes."""
    print(f"\n\x1b[1m? {question}\x1b[0m" if sys.stdout.isatty() else f"\n? {question}")
    if mode is not GateMode.AUTO:
        print(f"  mode      {mode}")
    for event in client.stream(question, mode=mode, max_tokens=128, timeout=120):
        match event:
            case GateEvent(decision):
                print(f"  gate      {decision.action}: {decision.reason}")
            case PassagesEvent(passages):
                titles = dict.fromkeys(passage.title for passage in passages)
                print(f"  passages  {len(passages)} from {'; '.join(titles)}")
                ids = [passage.document_id for passage in passages]
            case DeltaEvent(text):
                print(text, end="", flush=True)
            case CitationEvent(citation):
                span = f"{citation.start}-{citation.end}"
                print(
                    f"\n  cited     [{citation.passage}] {ids[citation.passage - 1]} "
                    f"characters {span}, support {citation.score:.2f}",
                    end="",
                )
            case UsageEvent(usage):
                stages = ", ".join(f"{k} {v:.2f}s" for k, v in usage.stage_seconds.items())
                print(
                    f"\n  cost      {usage.lm_calls} LM calls, {usage.retrieval_calls} searches, "
                    f"{usage.prompt_tokens} + {usage.completion_tokens} tokens ({stages})"
                )
            case DoneEvent() as done:
                print(f"  finished  {done.finish_reason}{support_of(done)}")


def support_of(done: DoneEvent) -> str:
    """Say where an answer is from, and whether to check it."""
    if done.finish_reason is FinishReason.ABSTAINED:
        return f", withheld: {done.unsupported_reason}" if done.unsupported_reason else ""
    if not done.from_documents:
        return ", from the model alone"
    if done.unsupported_reason:
        return f", from the documents; check this: {done.unsupported_reason}"
    return ", supported by the documents"


def run(arguments: Sequence[str]) -> None:
    """Run one expertrag command; its failure is ours."""
    print(f"$ expertrag {' '.join(arguments)}", flush=True)
    code = subprocess.run([*EXPERTRAG, *arguments], check=False).returncode
    if code:
        raise SystemExit(code)


@contextmanager
def server(arguments: Sequence[str]) -> Iterator[None]:
    """Run the server while the block runs, then ask it to drain (SIGTERM) and wait."""
    print(f"$ expertrag {' '.join(arguments)}", flush=True)
    process = subprocess.Popen([*EXPERTRAG, *arguments])
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
    if code:
        raise SystemExit(f"error: the server ended with exit code {code}")


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    raise SystemExit(main())
