"""Every command of `--help`, typed as a newcomer types it: with its defaults, on small real things.

The commands are those of the tree: one that is not in ``TYPED`` fails the test.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from command_line import Ran, Run
from command_tree import leaf_commands
from lora_fixtures import LoraBase
from workshop import ANSWER, Workshop, interrupt

from expertrag.cli.assignments import ASSIGNED
from expertrag.cli.exits import ExitCode

ASKED = "When are roses pruned?"
Typed = Callable[[Workshop], Sequence[str | Path]]


def few(shop: Workshop) -> tuple[str | Path, ...]:
    """Options of an evaluation that answers one question; its stores are kept in one folder."""
    return ("--limit", "1", "--max-tokens", "4", "--work", shop.root / "work")


TYPED: dict[str, Typed] = {
    "adapters list": lambda shop: ("--server", shop.server),
    "ask": lambda shop: (ASKED, "--index", shop.store),
    "chat": lambda shop: ("--index", shop.store),
    "completion": lambda _: ("bash",),
    "doctor": lambda _: (),
    "eval answer": lambda shop: (shop.births, *few(shop)),
    "eval compare": lambda shop: (shop.report, shop.report),
    "eval consistency": lambda shop: (shop.births, *few(shop), "--variants", "2"),
    "eval cost": lambda shop: (shop.births, *few(shop)),
    "eval gate": lambda shop: (shop.adarague,),
    "eval ls": lambda shop: (shop.births,),
    "eval record": lambda shop: (shop.births, *few(shop), "--out", shop.new(".jsonl")),
    "eval report": lambda shop: (shop.report,),
    "eval retrieval": lambda shop: (
        shop.births, "--modes", "bm25,dense,hybrid,experts", "--work", shop.root / "work",
    ),
    "eval validate": lambda shop: (shop.births,),
    "gate annotate": lambda shop: (shop.log, "--out", shop.new()),
    "gate calibrate": lambda shop: (shop.adarague, "--gate", shop.gate, "--out", shop.new()),
    "gate explain": lambda shop: (ASKED, "--index", shop.store),
    "gate feedback": lambda shop: (
        ANSWER, "--helpful", "--index", shop.store, "--audit-path", shop.log,
    ),
    "gate refit": lambda shop: (shop.adarague, "--gate", shop.gate, "--models", "logistic"),
    "gate replay": lambda shop: (shop.log, "--policy", "never"),
    "health": lambda shop: (shop.server,),
    "index add": lambda shop: (shop.own_store(), shop.docs),
    "index backup": lambda shop: (shop.store, shop.new()),
    "index build": lambda shop: (shop.docs, "--out", shop.new()),
    "index compact": lambda shop: (shop.own_store(),),
    "index create": lambda shop: (shop.new(),),
    "index delete": lambda shop: (shop.own_store(), "roses.md"),
    "index list": lambda shop: (shop.store,),
    "index migrate": lambda shop: (shop.own_store(),),
    "index pull": lambda shop: (shop.pushed, shop.new()),
    "index push": lambda shop: (shop.store, shop.new()),
    "index repair": lambda shop: (shop.own_store(),),
    "index restore": lambda shop: (shop.own_store(), shop.new()),
    "index search": lambda shop: (shop.store, "roses"),
    "index show": lambda shop: (shop.store, "roses.md"),
    "index skipped": lambda shop: (shop.store,),
    "index stats": lambda shop: (shop.store,),
    "index sync": lambda shop: (shop.new(), shop.sources),
    "index verify": lambda shop: (shop.store,),
    "llm attach": lambda shop: (shop.dense, shop.bundle, "--out", shop.new()),
    "llm compress": lambda shop: (
        shop.mixture, shop.prompts, "--light", "--per-token", "1", "--steps", "2",
        "--out", shop.new(),
    ),
    "llm export": lambda shop: (shop.dense, shop.bundle, "--out", shop.new()),
    "llm merge": lambda shop: (
        shop.mixture, "--profile", shop.profile, "--groups", "4", "--out", shop.new(),
    ),
    "llm pack": lambda shop: (shop.dense, "--dtype", "int8", "--out", shop.new()),
    "llm profile": lambda shop: (shop.mixture, shop.prompts, "--out", shop.new()),
    "llm prune": lambda shop: (
        shop.mixture, "--profile", shop.profile, "--keep", "4", "--force", "--out", shop.new(),
    ),
    "llm select": lambda shop: (
        shop.lora.folder, "--labelled", shop.prompts, "--k", "2",
        "--adapter", f"legal={shop.lora.adapters['legal']}",
    ),
    "llm show": lambda shop: (shop.profile,),
    "llm split": lambda shop: (
        shop.dense, shop.prompts, "--experts", "8", "--shared", "2", "--per-token", "3",
        "--out", shop.new(),
    ),
    "llm upcycle": lambda shop: (shop.dense, "--experts", "a,b", "--out", shop.new()),
    "llm verify": lambda shop: (shop.packed,),
    "models bench": lambda _: ("smollm2-135m-reader",),
    "models list": lambda _: (),
    "models path": lambda _: ("all-minilm-l6-v2",),
    "models pull": lambda _: ("all-minilm-l6-v2",),
    "retrieve": lambda shop: ("roses", "--index", shop.store),
    "router eval": lambda shop: ("--router", "minilm-domains", "--data", f"legal={shop.births}"),
    "router explain": lambda _: ("Is the lease valid?", "--router", "minilm-domains"),
    "tokens create": lambda shop: ("nora", "--tokens", shop.new()),
    "tokens list": lambda shop: ("--tokens", shop.tokens),
    "tokens revoke": lambda shop: (shop.token(), "--tokens", shop.tokens),
    "tokens rotate": lambda shop: (shop.token(), "--tokens", shop.tokens),
    "train gate": lambda shop: (
        shop.adarague, "--signals", "question", "--models", "logistic", "--out", shop.new(),
    ),
    "train probe": lambda shop: (
        "--data", shop.births, "--generator", shop.reader, "--out", shop.new(),
    ),
    "train questions": lambda shop: (
        shop.beir, "--count", "3", "--seed", "1", "--generator", "smollm2-135m-instruct-moe",
        "--out", shop.new(".jsonl"),
    ),
    "train reader": lambda shop: (
        "--data", shop.births, "--base", shop.dense, "--profile", "small", "--examples", "48",
        "--out", shop.new(),
    ),
    "train router": lambda shop: (
        "--data", f"people={shop.births}", "--data", f"python={shop.beir}", "--out", shop.new(),
    ),
}  # fmt: skip
"""What is typed after a command, which then ends with 0. By nature long, and shortened here: the
evaluations answer one question, gates are fitted on the question's words by one model, surgery and
readers train tiny models."""

REFUSED: dict[str, tuple[Typed, int, str]] = {
    "adapters load": (
        lambda shop: ("legal", shop.lora.adapters["legal"], "--server", shop.server),
        ExitCode.USAGE,
        "adapter",
    ),
    "adapters unload": (
        lambda shop: ("legal", "--server", shop.server),
        ExitCode.NOT_FOUND,
        "legal",
    ),
    "train distil": (
        lambda shop: ("minilm-domains", "--data", f"legal={shop.prompts}", "--out", shop.new()),
        ExitCode.USAGE,
        "prompts",
    ),
    "train embedder": (
        lambda shop: ("--data", shop.docs, "--out", shop.new()),
        ExitCode.NOT_FOUND,
        "docs",
    ),
    "train export": (
        lambda shop: ("all-minilm-l6-v2", "--out", shop.new()),
        ExitCode.MISSING_PART,
        "is not a bundle of experts",
    ),
    "train reranker": (
        lambda shop: ("--data", shop.docs, "--out", shop.new()),
        ExitCode.NOT_FOUND,
        "docs",
    ),
}
"""Commands that end with an error here: the tiny adapter is of another model, and a training of the
default embedder takes minutes. Each has a test of its own in which it ends with 0."""

OWN_PROCESS = ("index follow", "index watch", "mcp", "serve")
"""Commands that go on until they are stopped."""


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory, smollm_path: Path, reader_path: Path,
    minilm_path: Path, lora_base: LoraBase,
) -> Iterator[Workshop]:  # fmt: skip
    del reader_path, minilm_path  # they are there: commands find them by their names
    made = Workshop(tmp_path_factory.mktemp("shop"), smollm_path, lora_base)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("expertrag_lab.eval.stores.default_work", lambda: made.root / "work")
        yield made
    made.close()


def test_every_command_is_here() -> None:
    assert {*TYPED, *REFUSED, *OWN_PROCESS} == leaf_commands().keys()


@pytest.mark.parametrize("name", TYPED)
def test_a_command_with_its_defaults_ends_well(
    name: str, run: Run, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = TYPED[name](shop)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ASKED}\n"))
    ran = run(*name.split(), *arguments).ok()
    assert "Traceback" not in ran.err and "error:" not in ran.err


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_here_says_why(name: str, run: Run, shop: Workshop) -> None:
    typed, code, message = REFUSED[name]
    ran: Ran = run(*name.split(), *typed(shop))
    assert (ran.code, "Traceback" in ran.err) == (code, False), ran.err
    assert message in ran.err.splitlines()[-1]


def test_commands_that_go_on_end_with_ctrl_c(shop: Workshop, spawn: Run) -> None:
    watched, followed = shop.new(), shop.new()
    assert interrupt("index", "watch", watched, shop.docs, store=watched) == 0
    assert interrupt("index", "follow", shop.pushed, followed, store=followed) == 0
    assert spawn("mcp", shop.store, input="").ok().out == ""
    assert shop.server, "its end is checked by the workshop"


OTHER = "all-minilm-l6-v2"
OTHER_EMBEDDER = [
    name
    for name in TYPED
    if {"model__embedder", ASSIGNED}
    & (names := {item.name for item in leaf_commands()[name].params})
    and {"store", "server"} & names
    and name not in ("index create", "index migrate", "index sync")
]
"""Commands that read or write a store, but for those that make one, or move it."""


@pytest.mark.parametrize("name", OTHER_EMBEDDER)
def test_a_store_of_another_embedder_is_told(name: str, run: Run, shop: Workshop) -> None:
    flagged = "model__embedder" in {item.name for item in leaf_commands()[name].params}
    embedder = ("--embedder", OTHER) if flagged else ("--set", f"model.embedder={OTHER}")
    more = ("--deep",) if name == "index verify" else ()  # it embeds nothing without
    ran = run(*name.split(), *TYPED[name](shop), *more, *embedder)
    assert (ran.code, "Traceback" in ran.err) == (ExitCode.CONFLICT, False), ran.err
    last = ran.err.splitlines()[-1]
    assert last.startswith("error: ") and "minilm-domains" in last and "migrate" in last
