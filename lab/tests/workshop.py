"""Small real things for every command, made by other commands when they are needed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path

import pytest
from file_helper import write_lines
from lora_fixtures import LoraBase
from profile_samples import rows, write_tiny_mixture
from reader_samples import write_births, write_llama, write_reader, write_tiny_reader

from expertrag.api.types import Feedback, GateAction, GateMode
from expertrag.audit.entries import AuditEntry, dump_entry, dump_feedback
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import Client
from expertrag_index.store.layout import Layout

DATA = Path(__file__).parents[2] / "tests" / "data"
TIME = "2026-01-01T00:00:00+00:00"
ANSWER = "4f1c6a526d7e4a3e9d528d7a3f1b2c3d"
READY_S = 120.0


class Workshop:
    """A folder in which a newcomer works."""

    adarague = DATA / "adarague_small"
    beir = DATA / "beir_small"
    squad = DATA / "squad_small"

    def __init__(self, root: Path, base: Path, lora: LoraBase) -> None:
        self.root, self.lora = root, lora
        self._base = base
        self._processes: list[subprocess.Popen[bytes]] = []
        self._made = 0

    def run(self, *arguments: str | Path) -> None:
        """Run a command in this process; it must succeed."""
        from expertrag.cli.main import main

        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
            patch.setattr(sys, "argv", ["expertrag", *map(str, arguments)])
            main()
        assert ended.value.code == 0, arguments

    def new(self, suffix: str = "") -> Path:
        """Return a path at which there is nothing."""
        self._made += 1
        return self.root / f"new-{self._made}{suffix}"

    @cached_property
    def docs(self) -> Path:
        folder = self.root / "docs"
        folder.mkdir()
        (folder / "roses.md").write_text("# Roses\nRoses are pruned in March.\n")
        (folder / "leave.txt").write_text("Everybody has 27 days of leave a year.\n")
        return folder

    @cached_property
    def store(self) -> Path:
        """A store that no command changes."""
        self.run("index", "build", self.docs, "--out", self.root / "store")
        return self.root / "store"

    def own_store(self) -> Path:
        """A store that a command may change."""
        made = self.new()
        self.run("index", "backup", self.store, made)
        return made

    @cached_property
    def pushed(self) -> Path:
        self.run("index", "push", self.store, self.root / "pushed")
        return self.root / "pushed"

    @cached_property
    def sources(self) -> Path:
        file = self.root / "sources.yaml"
        file.write_text(f"sources:\n  - folder: {self.docs}\n")
        return file

    @cached_property
    def server(self) -> str:
        """Address of `expertrag serve` with its defaults, but for the address."""
        address = f"unix:{self.root}/s"
        command = [sys.executable, "-m", "expertrag", "serve", "--index", str(self.store)]
        process = subprocess.Popen([*command, "--address", address], stderr=subprocess.DEVNULL)
        self._processes.append(process)
        with Client(address) as client:
            client.wait_ready(READY_S)
        return address

    @cached_property
    def log(self) -> Path:
        """An audit log with a question and its correct answer."""
        entry = AuditEntry(
            ANSWER, TIME, 1, "gate", GateMode.AUTO, GateAction.RETRIEVE, threshold=0.5,
            p_benefit=0.9, question="When are roses pruned?",
        )  # fmt: skip
        file = self.root / "audit.jsonl"
        file.write_bytes(dump_entry(entry))
        told = dump_feedback(Feedback(ANSWER, correct_answer="March"), TIME)
        (self.root / "feedback.jsonl").write_bytes(told)
        return file

    @cached_property
    def births(self) -> Path:
        """A data set with answers and two splits."""
        return write_births(self.root / "births")

    @cached_property
    def prompts(self) -> Path:
        return write_lines(self.root / "prompts.jsonl", rows(10, words=6))

    @cached_property
    def dense(self) -> Path:
        """A tiny Llama."""
        return write_llama(self.root / "dense", self._base)

    @cached_property
    def reader(self) -> Path:
        """A tiny model that answers from passages."""
        return write_tiny_reader(self.root / "reader", self._base)

    @cached_property
    def bundle(self) -> Path:
        """A reader's adapters, of the tiny Llama."""
        return write_reader(self.root / "bundle", self.dense)

    @cached_property
    def mixture(self) -> Path:
        return write_tiny_mixture(self.root / "mixture", self._base)

    @cached_property
    def profile(self) -> Path:
        self.run("llm", "profile", self.mixture, self.prompts, "--out", self.root / "profile")
        return self.root / "profile"

    @cached_property
    def packed(self) -> Path:
        out = self.root / "packed"
        self.run("llm", "pack", self.dense, "--dtype", "int8", "--out", out)
        return out

    @cached_property
    def gate(self) -> Path:
        quick = ("--signals", "question", "--models", "logistic")
        self.run("train", "gate", self.adarague, *quick, "--out", self.root / "gate")
        return self.root / "gate"

    @cached_property
    def report(self) -> Path:
        out = self.root / "report"
        work = ("--work", self.root / "work")
        self.run("eval", "retrieval", self.births, *work, "--modes", "bm25", "--out", out)
        return out

    @cached_property
    def tokens(self) -> Path:
        file = self.root / "tokens.json"
        self.run("tokens", "create", "nora", "--tokens", file)
        return file

    def token(self) -> str:
        """Id of a token."""
        made = TokenFile(self.tokens).create(self.new().name, frozenset({Scope.READ}))
        return made.token.id

    def close(self) -> None:
        """Stop the server; it must end well."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def interrupt(*arguments: str | Path, store: Path) -> int:
    """Run a command that goes on until Ctrl-C; press it once the store is published."""
    command = [sys.executable, "-m", "expertrag", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=_interruptible) as process:
        while process.poll() is None and not Layout(store).current.exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    return process.returncode


def _interruptible() -> None:
    """Restore SIGINT, which a shell ignores in its background jobs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
