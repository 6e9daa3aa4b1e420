"""The entry point: help, start-up, exit codes, quiet endings."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import Run
from safetensors import SafetensorError
from safetensors.torch import save_file

from expertrag._version import __version__
from expertrag.api import errors
from expertrag.cli import docs
from expertrag.cli.exits import MEANINGS, ExitCode, exit_code_of, message_of
from expertrag.config import load, settings
from expertrag.runtime.error_mapping import translate_errors
from expertrag_index.errors import IndexStoreError
from expertrag_retriever.errors import OutputTakenError

HEAVY = ("torch", "numpy", "faiss", "transformers", "grpc", "google.protobuf", "tqdm", "sqlite3")


def test_help_lists_commands_and_exit_codes(run: Run) -> None:
    ran = run("--help").ok()
    for command in ("ask", "doctor", "gate", "index", "models", "retrieve", "serve"):
        assert re.search(rf"^  {command} ", ran.out, re.MULTILINE)
    for code, meaning in MEANINGS.items():
        assert f"{code.value}  {meaning}" in ran.out
    assert set(MEANINGS) == set(ExitCode)
    assert run("--version").out == f"expertrag {__version__}\n"


def test_help_starts_at_once_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['expertrag', '--help']\n"
        "from expertrag.cli.main import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], len(sys.modules),"
        " sep='\\n', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    heavy, modules = done.stderr.splitlines()
    assert (done.returncode, heavy) == (0, "[]")
    # What a start costs is what it imports: 0.16 s for 318 modules. Seconds depend on the machine.
    assert int(modules) < 400


def test_every_flag_shows_its_variable() -> None:
    """No variable of a flag is mistaken for a misspelt setting."""
    text = docs.pages()["cli.md"]
    flags = re.findall(r"^  (?:-\w, )?(?:--?[\w-]+)", text, re.MULTILINE)
    free = {"  --version", "  -h, --help", "  --set"}  # what --set sets has variables
    variables = re.findall(r"env\s+var:\s+(EXPERTRAG_\w+)", text)
    assert len(variables) == len([flag for flag in flags if flag not in free])
    names = set(variables) - {item.env for item in settings()}
    load(environ=dict.fromkeys(names - {"EXPERTRAG_CONFIG"}, "1"))


def test_the_generated_docs_are_current() -> None:
    for name, text in docs.pages().items():
        assert (docs.DOCS / name).read_text(encoding="utf-8") == text, "run make docs"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("index", "build"), "Missing argument 'DOCS...'"),
        (("index", "build", "/nowhere", "--out", "x"), "'/nowhere' does not exist"),
        (("askk", "?"), "No such command 'askk'"),
        (("ask", "?", "--mod", "x"), "No such option"),
        (("ask", "?", "--mode", "sometimes"), "Invalid value for '--mode'"),
        (("ask", "?", "--filter", "{"), "is not JSON"),
        (("ask", "?", "--filter", "[1]"), "is not a JSON object"),
        (("serve", "-k", "3"), "No such option"),
        (("serve",), "--index STORE"),
        (("models", "path", "gpt"), "no package model is called 'gpt'"),
    ],
)
def test_usage_errors_are_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    run(*arguments).fails(ExitCode.USAGE, message)


def test_bad_places_are_found_before_any_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    pack = ("llm", "pack", "none", "--dtype", "int8", "--out")
    run(*pack, file / "x").fails(2, f"{file}/x cannot be created: {file} is not a folder")
    run("llm", "show", "none", "--page", file / "x" / "y.html").fails(2, "give another --page")
    run(*pack, tmp_path / "new" / "x").fails(9, "not found")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    run(*pack, tmp_path / "link").fails(6, "exists")
    monkeypatch.setattr(os, "access", lambda *_: False)
    run(*pack, tmp_path / "new" / "x").fails(2, f"{tmp_path} is not writable; give another --out")


def test_a_command_without_arguments_prints_its_help(run: Run) -> None:
    ran = run("index")
    assert ran.code == ExitCode.USAGE
    assert "verify" in ran.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidArgument("x"), ExitCode.USAGE),
        (errors.NotFound("x"), ExitCode.NOT_FOUND),
        (errors.NotFound("x", reason="MODEL_MISSING"), ExitCode.MISSING_PART),
        (errors.ServerError("x", reason="STORE_CORRUPT"), ExitCode.CORRUPT),
        (errors.ServerError("x"), ExitCode.UNEXPECTED),
        (errors.Unavailable("x", reason="STORAGE_FULL"), ExitCode.NO_SPACE),
        (errors.MissingExtra("x"), ExitCode.MISSING_PART),
        (OSError(errno.ENOSPC, "No space left on device"), ExitCode.NO_SPACE),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), ExitCode.NOT_FOUND),
        (PermissionError(errno.EACCES, "Permission denied", "x"), ExitCode.UNEXPECTED),
        (ModuleNotFoundError("x", name="torch"), ExitCode.MISSING_PART),
        (ModuleNotFoundError("x", name="expertrag.x"), ExitCode.UNEXPECTED),
        (IndexStoreError("x is a file"), ExitCode.USAGE),
        (SafetensorError("I/O error: No space left (os error 28)"), ExitCode.NO_SPACE),
        (OutputTakenError("x"), ExitCode.CONFLICT),
        (RuntimeError("a\nb"), ExitCode.UNEXPECTED),
    ],
)
def test_errors_and_their_codes(error: Exception, code: ExitCode) -> None:
    with pytest.raises(Exception) as caught, translate_errors():
        raise error
    assert exit_code_of(caught.value) is code
    assert "\n" not in message_of(caught.value)


def test_what_safetensors_cannot_write_is_an_error_of_the_system(tmp_path: Path) -> None:
    """It has the number of the error only in its text."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SafetensorError) as caught:
            save_file({"weight": torch.zeros(1000)}, tmp_path / "weights")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert exit_code_of(caught.value) is ExitCode.NO_SPACE
    assert message_of(caught.value) == os.strerror(errno.EFBIG)


def test_every_error_class_has_a_code() -> None:
    assert exit_code_of(errors.ExpertRAGError("x")) is ExitCode.UNEXPECTED
    for kind in errors.ExpertRAGError.__subclasses__():
        assert exit_code_of(kind("x")) is not ExitCode.OK
        if kind is not errors.ServerError:
            assert exit_code_of(kind("x")) is not ExitCode.UNEXPECTED, kind


def test_debug_shows_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" not in run("models", "path", "gpt").err
    monkeypatch.setenv("EXPERTRAG_DEBUG", "1")
    ran = run("models", "path", "gpt")
    assert ran.err.startswith("Traceback")
    assert ran.err.splitlines()[-1].startswith("error: ")


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [sys.executable, "-m", "expertrag", "--help"], stdout=writer, stderr=subprocess.PIPE
    ) as process:
        os.close(writer)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (ExitCode.BROKEN_PIPE, b"")


def _interruptible() -> None:
    """Restore SIGINT, which a shell ignores in its background jobs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_is_quiet(tmp_path: Path) -> None:
    fifo = tmp_path / "slow.toml"
    os.mkfifo(fifo)  # reading it blocks until there is a writer
    with subprocess.Popen(
        [sys.executable, "-m", "expertrag", "ask", "?", "--config", fifo],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_interruptible,
    ) as process:
        writer = os.open(fifo, os.O_WRONLY)  # which waits for the reader
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    os.close(writer)
    assert (process.returncode, out, err) == (ExitCode.INTERRUPTED, b"", b"")


def test_an_interrupted_build_says_what_is_kept(tmp_path: Path) -> None:
    docs, store = tmp_path / "docs", tmp_path / "store"
    docs.mkdir()
    for number in range(40):
        text = f"Text number {number} says this about roses. " * 60
        (docs / f"{number}.txt").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "expertrag", "index", "build", str(docs), "--out", str(store)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_interruptible,
    ) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("embed: "):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (ExitCode.INTERRUPTED, "")
    assert err.splitlines()[-1] == (
        f"interrupted: {store} is as it was before; texts that were embedded are kept, so that the "
        "same command goes on from there"
    )
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["added"] == 40
    assert report["chunks_embedded"] <= report["chunks"]
