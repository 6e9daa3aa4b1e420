"""Two tenants on one server, and callers with access labels: nobody sees another's documents.

Every method and every way to name a document is tried with both tenants. Their documents have the
same ids, and some have equal texts; the others hold a canary, a word that nobody else may see.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import OpenPipeline, PacedGenerator, StartServer, wait_until

from expertrag.answer.collections import Collections
from expertrag.api.access import Access
from expertrag.api.errors import (
    Conflict,
    DeadlineExceeded,
    ExpertRAGError,
    InvalidArgument,
    NotFound,
)
from expertrag.api.types import DocumentInput
from expertrag.audit import Audit
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import Client
from expertrag.config import AuthConfig
from expertrag.serving.server import Server
from expertrag_index.build.writer import IndexWriter
from expertrag_retriever.calibrate import calibrator

TENANTS = {"acme": "zirconcanary", "globex": "obsidiancanary"}
SHARED = "A checkpoint writes all dirty pages to disk. The default is 5 minutes."
HIDDEN = "rubycanary"
ALL = frozenset(Scope)


def documents(canary: str) -> list[DocumentInput]:
    """Documents of a tenant; those of the other have the same ids."""
    return [
        DocumentInput("equal", SHARED, title="checkpoints"),
        DocumentInput(
            "secret",
            f"The codename of the project is {canary}, and {canary} is due in May.",
            title=f"{canary} plan",
            domain=f"{canary}domain",
            metadata={f"{canary}field": canary},
        ),
        DocumentInput("roses", "Roses are pruned in March, above a bud that faces outwards."),
        DocumentInput(
            "board",
            f"The board meets in the {HIDDEN} room about the {HIDDEN} merger.",
            title=f"{HIDDEN} minutes",
            domain=f"{HIDDEN}domain",
            metadata={f"{HIDDEN}field": HIDDEN},
            labels=["board"],
        ),
    ]


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


@pytest.fixture
def collections(open_pipeline: OpenPipeline, embedder: Any, tmp_path: Path) -> Collections:
    """A server's collections: one without a tenant, and a folder for those of tenants."""

    def create(store: Path) -> None:
        with IndexWriter.open(store, embedder, calibrate=calibrator(embedder)) as writer:
            writer.build(())

    audit = Audit(tmp_path / "audit.jsonl", texts=True)
    create(tmp_path / "own")
    return Collections(
        lambda store: open_pipeline(store=store, audit=audit),
        {"default": tmp_path / "own"},
        folder=tmp_path / "collections",
        create_store=create,
        audit=audit,
    )


@pytest.fixture
def server(start_server: StartServer, collections: Collections, tokens: TokenFile) -> Server:
    for tenant in TENANTS:
        tokens.create(tenant, ALL, access=Access(tenant))
    return start_server(
        lambda: collections, auth=AuthConfig(tokens=str(tokens.path)), allow_writes=True
    )


Connect = Callable[..., Client]


@pytest.fixture
def connect(server: Server, tokens: TokenFile) -> Iterator[Connect]:
    """Opens a client with a new token."""
    opened: list[Client] = []

    def make(
        tenant: str = "",
        labels: frozenset[str] | None = None,
        scopes: frozenset[Scope] = ALL,
        collection: str = "",
    ) -> Client:
        if labels is not None:
            scopes = frozenset({Scope.READ})
        made = tokens.create("test", scopes, access=Access(tenant, labels))
        client = Client(server.address, token=made.text, collection=collection)
        opened.append(client)
        wait_until(lambda: _accepted(client))  # the server follows the file within a second
        return client

    yield make
    for client in opened:
        client.close()


def _accepted(client: Client) -> bool:
    try:
        client.collections()
    except ExpertRAGError as error:
        return error.reason != "TOKEN_REFUSED"
    return True


@pytest.fixture
def filled(connect: Connect) -> Mapping[str, Client]:
    """A writing client of each tenant, whose default collection holds its documents."""
    clients = {tenant: connect(tenant) for tenant in TENANTS}
    for tenant, client in clients.items():
        client.create_collection("default")
        client.upsert(documents(TENANTS[tenant]))
    return clients


def everything(client: Client, words: str) -> Iterator[str]:
    """Call every method that reads, with a question of these words; yield all that it returns."""
    question = f"What is {words}?"

    def tried(call: Callable[..., object], *given: object, **options: Any) -> str:
        try:
            found = call(*given, **options)
            return repr(list(found) if isinstance(found, Iterator) else found)
        except ExpertRAGError as error:
            return f"{error.message} {error.metadata}"

    for mode in ("auto", "never", "always", "strict"):
        yield tried(client.answer, question, mode=mode, max_tokens=4)
        yield tried(client.stream, question, mode=mode, max_tokens=4)
    for search in ("hybrid", "dense", "bm25"):
        yield tried(client.retrieve, words, k=50, mode=search)
        yield tried(client.retrieve, f"{words}x", k=50, mode=search)
    for name in ("domain", "source", f"{words}field", "year"):
        yield tried(client.retrieve, "plan", filter={name: "none"})
    yield tried(client.decide, question)
    yield tried(client.embed, [words])
    for order in ("id", "title", "source", "newest"):
        yield tried(client.documents.all, order=order)
    for name in ("equal", "secret", "board", f"{words}x"):
        yield tried(client.documents.get, name)
        yield tried(client.documents.chunks, name)
    for call in (client.stats, client.info, client.collections):
        yield tried(call)


def asked(text: str, words: str) -> str:
    """Remove what the caller itself has written."""
    return text.replace(f"{words}field", "").replace(f"What is {words}?", "").replace(words, "")


def test_no_method_tells_one_tenant_of_the_other(filled: Mapping[str, Client]) -> None:
    for tenant, client in filled.items():
        (other,) = (canary for name, canary in TENANTS.items() if name != tenant)
        own = TENANTS[tenant]
        assert own in "".join(everything(client, own))
        blind = [asked(text, other) for text in everything(client, other)]
        seen = "".join(everything(client, "codename"))
        for text in (*blind, seen):
            assert other not in text
            assert not any(name in text for name in TENANTS if name != tenant)


def test_signals_of_a_foreign_word_are_those_of_an_unknown_word(
    filled: Mapping[str, Client],
) -> None:
    for tenant, client in filled.items():
        (other,) = (canary for name, canary in TENANTS.items() if name != tenant)
        foreign = client.decide(f"What is {other}?").signals
        unknown = client.decide("What is topazcanary?").signals
        assert foreign["term_coverage"] == unknown["term_coverage"] == 0.0
        assert client.decide(f"What is {TENANTS[tenant]}?").signals["term_coverage"] > 0


def test_no_two_callers_share_cached_prompts(
    filled: Mapping[str, Client], connect: Connect, paced: PacedGenerator
) -> None:
    def salt(client: Client) -> str:
        client.answer("Am I to be dismissed?", mode="never", max_tokens=1)
        return paced.salts[-1]

    clients = [*filled.values(), *(connect("acme") for _ in range(2)), connect()]
    clients.append(connect("acme", frozenset({"board"})))
    salts = [salt(client) for client in clients]
    assert len({*salts, ""}) == len(clients) + 1
    assert [salt(client) for client in clients] == salts


def test_writes_of_one_tenant_do_not_reach_the_other(filled: Mapping[str, Client]) -> None:
    acme, globex = filled["acme"], filled["globex"]
    before = globex.stats()
    removed = acme.delete(["equal", "secret", "roses", "board"])
    assert removed.removed == 4
    assert globex.stats() == before
    answer = globex.retrieve("checkpoint", k=1)
    assert answer.passages[0].document_id == "equal"
    # a text that the other tenant has is new here: its vector is not shared
    report = acme.upsert([DocumentInput("equal", SHARED, title="checkpoints")])
    assert (report.added, report.unchanged) == (1, 0)
    acme.drop_collection("default")
    assert globex.stats() == before
    with pytest.raises(NotFound):
        acme.retrieve("checkpoint")


def test_metrics_are_those_of_the_default_store(
    filled: Mapping[str, Client], connect: Connect, server: Server
) -> None:
    def exported(name: str) -> float | None:
        return server.metrics.registry.get_sample_value(f"expertrag_index_{name}")

    operator = connect()
    operator.upsert([DocumentInput("own", "Roses are red.")])
    own = operator.stats()
    filled["acme"].upsert([DocumentInput("more", "Violets are blue.")])
    filled["acme"].answer("When are roses pruned?", mode="always", max_tokens=1)
    assert exported("documents") == own.documents == 1
    assert exported("generation") == own.generation != filled["acme"].stats().generation


def test_a_slow_writer_holds_up_no_other_tenant(
    filled: Mapping[str, Client], server: Server
) -> None:
    sent, done = threading.Event(), threading.Event()

    def slowly() -> Iterator[DocumentInput]:
        yield DocumentInput("slow", "Slow and steady.")
        sent.set()
        done.wait(60)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(filled["acme"].upsert, slowly())
        try:
            assert sent.wait(10)
            wait_until(lambda: server.running == 1)
            filled["globex"].upsert([DocumentInput("quick", "Quick.")], timeout=5)
            filled["globex"].create_collection("quick", timeout=5)
            with pytest.raises(DeadlineExceeded):  # of one tenant, one at a time
                filled["acme"].delete(["roses"], timeout=0.5)
        finally:
            done.set()
        assert running.result().added == 1


def test_a_tenant_names_only_its_own_collections(
    filled: Mapping[str, Client], connect: Connect
) -> None:
    acme = filled["acme"]
    acme.create_collection("wiki")
    assert [item.name for item in acme.collections()] == ["default", "wiki"]
    assert [item.name for item in filled["globex"].collections()] == ["default"]
    unknown = refused(connect("globex", collection="none"))
    for name in ("wiki", "globex/default", "acme/wiki", "../acme/wiki", "_/wiki"):
        assert refused(connect("globex", collection=name)) == unknown.replace(
            "none", name[-4:]
        ) or (refused(connect("globex", collection=name)).startswith("there is no collection"))
    operator = connect()
    assert {item.name for item in operator.collections()} == {
        "acme/default", "acme/wiki", "default", "globex/default"
    }  # fmt: skip
    assert connect(collection="acme/default").stats().documents == 4
    reader = connect(scopes=frozenset({Scope.READ}), collection="acme/default")
    assert refused(reader).startswith("there is no collection")
    assert [item.name for item in reader.collections()] == ["default"]


def refused(client: Client) -> str:
    with pytest.raises(NotFound) as caught:
        client.stats()
    assert caught.value.reason == "COLLECTION_NOT_FOUND"
    return caught.value.message


def test_labels_hide_documents_from_every_method(
    filled: Mapping[str, Client], connect: Connect
) -> None:
    del filled
    member, board = connect("acme", frozenset()), connect("acme", frozenset({"board", "x"}))
    assert HIDDEN in "".join(everything(board, HIDDEN))
    for text in (
        *everything(member, HIDDEN),
        *everything(member, "merger"),
        *everything(member, "a"),
    ):
        assert HIDDEN not in asked(text, HIDDEN)
        assert f"{HIDDEN}field" not in text.replace(f"unknown filter field '{HIDDEN}field'", "")
    stats = member.stats()
    assert (stats.documents, stats.size_bytes) == (3, 0)
    assert HIDDEN not in repr(stats)
    assert board.stats().documents == 4
    signals = member.decide(f"What is {HIDDEN}?").signals
    assert signals["term_coverage"] == 0.0
    assert board.decide(f"What is {HIDDEN}?").signals["term_coverage"] > 0
    page = member.documents.list()
    assert (page.total, [item.id for item in page.documents]) == (3, ["equal", "roses", "secret"])
    assert board.documents.list(filter={f"{HIDDEN}field": HIDDEN}).total == 1
    assert board.documents.get("board").text.startswith("The board meets")
    for call in (member.documents.get, member.documents.chunks):
        with pytest.raises(NotFound) as hidden:
            call("board")
        with pytest.raises(NotFound) as unknown:
            call("nosuch")
        assert hidden.value.message.replace("board", "nosuch") == unknown.value.message
    found = member.retrieve(f"{HIDDEN} merger", k=50)
    assert {passage.document_id for passage in found.passages} == {"equal", "secret", "roses"}
    assert found.vectors_scanned == 3


def test_changed_labels_hide_a_document_from_the_next_call_on(
    filled: Mapping[str, Client], connect: Connect
) -> None:
    member = connect("acme", frozenset())
    (roses,) = (item for item in documents("x") if item.id == "roses")
    assert "roses" in ids(member, "roses")
    filled["acme"].upsert([DocumentInput(roses.id, roses.text, labels=["garden"])])
    assert "roses" not in ids(member, "roses")
    assert "roses" in ids(connect("acme", frozenset({"garden"})), "roses")


def ids(client: Client, query: str) -> set[str]:
    return {passage.document_id for passage in client.retrieve(query, k=50).passages}


def test_invalid_names_and_twice_the_same_are_refused(
    filled: Mapping[str, Client], connect: Connect, server: Server
) -> None:
    del server
    acme = filled["acme"]
    with pytest.raises(Conflict) as caught:
        acme.create_collection("default")
    assert caught.value.reason == "COLLECTION_EXISTS"
    for name in ("", "UPPER", "a b", "x" * 64, "-x", "\u00e9"):
        with pytest.raises(InvalidArgument):
            acme.create_collection(name)
    for name in ("..", "a/b", "/etc"):
        with pytest.raises((InvalidArgument, NotFound)):
            acme.create_collection(name)
    with pytest.raises(NotFound):
        acme.drop_collection("none")
    with pytest.raises(Conflict) as caught:
        connect().drop_collection("default")
    assert caught.value.reason == "COLLECTION_CONFIGURED"


def test_errors_name_no_relative_path_of_the_server(
    open_pipeline: OpenPipeline,
    start_server: StartServer,
    own_store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(own_store.parent)
    collections = Collections(
        lambda store: open_pipeline(store=store), {"default": Path(own_store.name)}
    )
    server = start_server(lambda: collections, allow_writes=True)
    for path in own_store.glob("segments/*"):
        path.write_bytes(b"damaged")
    (own_store / "store.db").write_bytes(b"damaged")
    with Client(server.address) as client, pytest.raises(ExpertRAGError) as caught:
        client.upsert([DocumentInput("a", "Roses are red.")])
    assert "(a path of the server)" in caught.value.message
    assert own_store.name not in caught.value.message


def test_a_tenant_reads_its_own_decisions_only(filled: Mapping[str, Client]) -> None:
    for tenant, client in filled.items():
        client.answer(f"What is {TENANTS[tenant]}?", max_tokens=2)
    for tenant, client in filled.items():
        (question,) = client.decisions.questions().questions
        assert question.question == f"What is {TENANTS[tenant]}?"
        assert client.decisions.replay(threshold=0.5).logged.decisions == 1
        assert sum(count.decisions for count in client.decisions.experts().counts) == 1


def test_the_audit_log_says_who_asked_where(filled: Mapping[str, Client], tmp_path: Path) -> None:
    filled["acme"].answer("When are roses pruned?", mode="always", max_tokens=2)
    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert '"collection": "acme/default"' in line
    assert '"caller": "token:' in line
