"""``serve --adapter``, ``ask --adapter`` and ``adapters``: a real server process."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Run
from lora_fixtures import LoraBase

from expertrag.client import Client

READY_S = 90.0


@pytest.fixture(scope="module")
def server(
    built_store: Path, lora_base: LoraBase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of a server with the adapter legal."""
    address = f"unix:{tmp_path_factory.mktemp('serve')}/s"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "expertrag", "serve", "--index", built_store),
            *("--generator", lora_base.folder, "--address", address),
            *("--adapter", f"legal={lora_base.adapters['legal']}"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with Client(address) as client:
        client.wait_ready(READY_S)
    yield address
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_adapters_are_loaded_listed_and_unloaded(
    run: Run, server: str, lora_base: LoraBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = run("adapters", "list", "--server", server).ok().out
    assert listed.startswith("legal: rank 4, ") and listed.endswith(", trained on some/base\n")
    monkeypatch.chdir(lora_base.adapters["medical"].parent)  # which is not the server's
    run("adapters", "load", "medical", "medical", "--server", server).ok()
    names = [each["name"] for each in run("adapters", "list", "--json", "--server", server).json()]
    assert names == ["legal", "medical"]
    ask = ("ask", "When are roses pruned?", "--mode", "never", "--max-tokens", "8", "-q")
    texts = {run(*ask, "--adapter", name, "--server", server).ok().out for name in ("", *names)}
    assert len(texts) == 3
    assert run("adapters", "unload", "medical", "--server", server).ok().out == (
        "unloaded medical\n"
    )
    run(*ask, "--adapter", "medical", "--server", server).fails(2, "loaded: legal")
    run("adapters", "unload", "medical", "--server", server).fails(4, "no adapter 'medical'")
    run("adapters", "load", "bad", str(lora_base.folder), "--server", server).fails(
        4, "has no adapter_config.json"
    )


def test_in_process(run: Run, built_store: Path, lora_base: LoraBase) -> None:
    given = (
        "--index",
        built_store,
        "--generator",
        lora_base.folder,
        "--set",
        "model.dtype=float32",
    )
    ask = ("ask", "When?", "--mode", "never", "--max-tokens", "4", "-q", *given)
    loaded = ("--set", f"model.adapters=legal={lora_base.adapters['legal']}")
    base, legal = (run(*ask, *loaded, "--adapter", name).ok().out for name in ("", "legal"))
    assert base != legal
    run(*ask, "--adapter", "legal").fails(2, "no adapter 'legal'; loaded: none")
    run(*ask, "--set", "model.adapters=legal").fails(
        2, "model.adapters: 'legal' is not NAME=FOLDER"
    )
