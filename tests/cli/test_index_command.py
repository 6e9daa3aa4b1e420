"""``expertrag index`` over real files with the real embedder."""

from __future__ import annotations

import re
import resource
import shutil
from pathlib import Path

import pytest
from command_line import Run
from postgres_server import postgres_server

from expertrag.cli import reading
from expertrag.cli.reading import OCR_PACKAGES
from expertrag.config import FilesConfig
from expertrag_common.extras import install_command
from expertrag_index.loaders import DEFAULT_MAX_FILE_BYTES, DEFAULT_MAX_FILE_S
from expertrag_index.loaders.ocr import PACKAGES


@pytest.fixture
def store(built: Path, tmp_path: Path) -> Path:
    """A copy of the built store, to change."""
    return Path(shutil.copytree(built, tmp_path / "store"))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "tea.txt").write_text("Green tea is steeped at 80 degrees.", encoding="utf-8")
    return folder


def test_the_default_size_limit_is_that_of_the_loaders() -> None:
    files = FilesConfig()
    assert (files.max_mb * 2**20, files.max_s) == (DEFAULT_MAX_FILE_BYTES, DEFAULT_MAX_FILE_S)
    assert OCR_PACKAGES == PACKAGES


def test_ocr_without_its_extra_says_how_to_install_it(
    run: Run, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "OCR_PACKAGES", ("rapidocr", "no_such_package"))
    ran = run("index", "build", docs, "--out", tmp_path / "new", "--ocr")
    assert ran.code == 2
    assert install_command("ocr") in ran.err
    assert not (tmp_path / "new").exists()


def test_add_stats_search_delete(run: Run, store: Path, docs: Path) -> None:
    ran = run("index", "add", store, docs)
    assert (ran.code, "1 added" in ran.out) == (0, True), ran.err
    assert "\r" not in ran.err  # no bar without a terminal

    stats = run("index", "stats", store, "--json").json()
    assert stats["generation"] == 2
    assert "documents" in run("index", "stats", store).out

    passages = run(
        "index", "search", store, "How hot must the water be for green tea?", "-k", 2, "--json"
    ).json()["passages"]
    assert len(passages) == 2
    assert passages[0]["document_id"] == "tea.txt"
    assert "80 degrees" in run("index", "search", store, "green tea").out

    ran = run("index", "delete", store, "tea.txt", "nobody", "--dry-run", "--json")
    assert ran.json(3) == {
        "deleted": ["tea.txt"], "unknown": ["nobody"], "dry_run": True, "generation": None,
    }  # fmt: skip
    assert run("index", "delete", store, "tea.txt").out == "deleted tea.txt\n"
    ran = run("index", "delete", store, "tea.txt")
    assert (ran.code, ran.out) == (4, "")
    after = run("index", "stats", store, "--json").json()
    assert after["documents"] == stats["documents"] - 1


def test_bad_documents_are_listed_and_the_rest_is_stored(run: Run, docs: Path) -> None:
    (docs / "a.pdf").write_bytes(b"this is not PDF")
    (docs / "empty.txt").touch()
    (docs / "damaged.txt").write_bytes("café crème".encode() + b"\xe9")
    (docs / "large.txt").write_text("word " * 300_000, encoding="utf-8")
    store = docs.parent / "new"
    ran = run("index", "build", docs, "--out", store, "--set", "files.max_mb=1")
    assert (ran.code, "1 added" in ran.out) == (3, True)
    skipped = [line for line in ran.err.splitlines() if line.startswith("skipped ")]
    assert len(skipped) == 4
    assert all(": " in line and "; " in line for line in skipped)
    assert "4 skipped" in ran.err
    report = run("index", "build", docs, "--out", store, "--set", "files.max_mb=1", "--json").json(
        3
    )
    assert (report["unchanged"], len(report["failures"])) == (1, 4)
    assert {"source", "reason", "cure"} <= report["failures"][0].keys()


def test_hidden_text_is_noted_and_is_no_failure(run: Run, docs: Path) -> None:
    page = "<p>Tea is ready.</p><p style='display:none'>Coffee is better.</p>"
    (docs / "page.html").write_text(page, encoding="utf-8")
    (docs / "empty.txt").touch()
    store = docs.parent / "new"
    ran = run("index", "build", docs, "--out", store)
    assert ran.code == 3  # for the empty file
    *_, skipped, noted, count = [
        line for line in ran.err.splitlines() if line.startswith(("skipped", "note", "1 "))
    ]
    assert skipped.startswith("skipped docs/empty.txt: ")
    assert noted.startswith("note docs/page.html: hidden text is left out: display: none (1); ")
    assert count == "1 skipped"
    (docs / "empty.txt").unlink()
    report = run("index", "build", docs, "--out", store, "--json").json()
    assert [failure["notice"] for failure in report["failures"]] == [True]


def test_another_language_is_noted_once(run: Run, docs: Path) -> None:
    store = docs.parent / "new"
    assert "not English" not in run("index", "build", docs, "--out", store).err
    text = "Der Urlaub wird bei der Teamleitung beantragt und nicht auf das Jahr übertragen."
    for number in range(3):
        (docs / f"urlaub{number}.md").write_text(f"# Urlaub {number}\n\n{text}\n", "utf-8")
    ran = run("index", "build", docs, "--out", store).ok()
    (reported,) = [line for line in ran.err.splitlines() if "not English" in line]
    assert reported.startswith("note: 8")  # all but the tea
    assert "minilm-domains" in reported
    assert "BM25" in reported
    ran = run("index", "build", docs, "--out", store, "--json")
    assert ran.json()["unchanged"] == 4
    assert ran.err.count("not English") == 1


def test_libraries_print_nothing(spawn: Run, docs: Path, documents: Path) -> None:
    """Odd files of every parser, with warnings switched on."""
    head = '<?xml version="1.0"?>\n<!-- ' + "long " * 200 + "-->\n"
    (docs / "page.html").write_text(f"{head}<html><p>Opening hours</p></html>", "utf-8")
    (docs / "book.htm").write_text(f"{head}<book><p>Opening hours</p></book>", "utf-8")
    (docs / "address.html").write_text("https://example.com/hours", "utf-8")
    whole = (documents / "report.pdf").read_bytes()
    (docs / "odd.pdf").write_bytes(re.sub(rb"startxref\n\d+", b"startxref\n7", whole))
    (docs / "memo.docx").write_bytes((documents / "memo.docx").read_bytes())
    program = {"PYTHONWARNINGS": "default::UserWarning"}
    ran = spawn("index", "build", docs, "--out", docs.parent / "new", env=program).ok()
    assert "6 added" in ran.out
    lines = [line for line in ran.err.splitlines() if not re.match(r"\w+: \d", line)]
    assert lines == []


def test_an_empty_folder_does_not_empty_the_store(run: Run, store: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    run("index", "build", empty, "--out", store).fails(4, "nothing was changed")
    assert run("index", "stats", store, "--json").json()["generation"] == 1


@pytest.fixture
def other_embedder(minilm_path: Path, tmp_path: Path) -> Path:
    """The default model with one more file, which makes it another model."""
    folder = tmp_path / "other"
    folder.mkdir()
    for file in minilm_path.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "note.json").write_text("{}")
    return folder


def test_migrate_to_another_embedder(
    run: Run, store: Path, documents: Path, other_embedder: Path
) -> None:
    before = run("index", "stats", store, "--json").json()
    run("index", "search", store, "tea", "--set", f"model.embedder={other_embedder}").fails(
        6, "built with embedder", f"expertrag index migrate {store} --embedder"
    )
    ran = run("index", "migrate", store, "--embedder", other_embedder).ok()
    assert f"re-encoded {before['chunks']:,} of {before['chunks']:,} chunks" in ran.out
    after = run("index", "stats", store, "--json").json()
    assert (after["generation"], after["embedder"]) == (2, str(other_embedder))
    assert after["partitions"] == {"general": before["chunks"]}
    assert after["groups"] == []
    assert run("index", "search", store, "tea").code == 0
    report = run("index", "build", documents, "--out", store, "--json").json()
    assert (report["unchanged"], report["chunks_embedded"]) == (before["documents"], 0)
    assert (report["added"], report["changed"]) == (0, 0)
    report = run("index", "migrate", store, "--json").json()
    assert (report["generation"], report["chunks_embedded"]) == (2, 0)
    assert "partitions       general" in run("index", "stats", store).out


def test_verify_finds_damage_and_repairs_it(run: Run, store: Path) -> None:
    ran = run("index", "verify", store)
    assert (ran.code, "no problems" in ran.out) == (0, True), ran.out + ran.err
    segment = next(store.rglob("*.faiss"))
    damaged = bytearray(segment.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    segment.write_bytes(damaged)

    run("index", "search", store, "green tea").fails(5, "expertrag index repair")
    assert run("index", "verify", store, "--json").json(5)["problems"]
    copy = shutil.copytree(store, store.with_name("copy"))
    assert run("index", "verify", copy, "--repair").code == 0
    assert f"to repair: expertrag index repair {store}" in run("index", "verify", store).out
    repaired = run("index", "repair", store)
    assert (repaired.code, repaired.out.startswith("repaired: ")) == (0, True)
    assert run("index", "verify", store, "--deep").code == 0
    assert run("index", "search", store, "green tea").code == 0


def test_vectors_move_to_an_engine(run: Run, store: Path, tmp_path: Path) -> None:
    before = run("index", "search", store, "a question", "--json").json()["passages"]
    with postgres_server() as server:
        address = server.url("cli")
        assert "generation 2: " in run("index", "compact", store, "--vectors", address).out
        assert run("index", "stats", store, "--json").json()["vectors"] == address
        assert "recall" not in run("index", "stats", store).out
        after = run("index", "search", store, "a question", "--json").json()["passages"]
        assert [passage["document_id"] for passage in after] == [
            passage["document_id"] for passage in before
        ]
    down = run("index", "search", store, "another question")
    assert (down.code, "see that it runs" in down.err) == (7, True)
    assert run("index", "compact", store, "--vectors", "mongo://x#y").code == 7


def test_backup_restore_and_compact(run: Run, store: Path, docs: Path, tmp_path: Path) -> None:
    copy, new = tmp_path / "copy", tmp_path / "new"
    made = run("index", "backup", store, copy, "--json").json()
    assert made["generation"] == 1
    run("index", "backup", store, copy).fails(2, "--force")
    assert run("index", "backup", store, copy, "--force").out.startswith(f"{copy}: generation 1, ")

    assert run("index", "add", store, docs).code == 0
    restored = run("index", "restore", copy, new, "--json").json()
    assert (restored["documents"], restored["bytes"]) == (made["documents"], made["bytes"])
    run("index", "restore", copy, store).fails(2, "--force")
    assert "generation 3, " in run("index", "restore", copy, store, "--force").out
    assert run("index", "stats", store, "--json").json()["documents"] == made["documents"]
    run("index", "restore", tmp_path / "nothing", tmp_path / "newer").fails(4, "no backup")
    (copy / "store.db").write_bytes(b"damaged")
    run("index", "restore", copy, tmp_path / "newer").fails(5, "another backup")

    assert "generation 4: " in run("index", "compact", store).out
    assert run("index", "verify", store).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("stats",),
        ("verify",),
        ("repair",),
        ("compact",),
        ("search", "?"),
        ("delete", "x"),
        ("add", "docs"),
        ("migrate",),
    ],
)
def test_a_missing_store_is_reported(run: Run, docs: Path, arguments: tuple[str, ...]) -> None:
    command, *rest = [str(docs) if item == "docs" else item for item in arguments]
    run("index", command, docs.parent / "nowhere", *rest).fails(4)
    assert not (docs.parent / "nowhere").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("", "-k", "3"), "query"), (("tea", "--filter", '{"flavour": "mint"}'), "flavour")],
)
def test_bad_queries_end_with_2(
    run: Run, built: Path, arguments: tuple[str, ...], message: str
) -> None:
    run("index", "search", built, *arguments).fails(2, message)


def test_a_file_is_not_a_store(run: Run, docs: Path) -> None:
    run("index", "build", docs, "--out", docs / "tea.txt").fails(2, "is a file")


def test_a_locked_store_is_a_conflict(
    run: Run, store: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from expertrag_index.store.layout import Layout
    from expertrag_index.store.lock import WriterLock

    monkeypatch.setattr("expertrag.cli.index_writer.LOCK_WAIT_S", 0.1)
    with WriterLock(Layout(store)):
        run("index", "add", store, docs).fails(6, "still writing")


def test_a_missing_model_ends_with_9(
    run: Run, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path / "cache"))
    run("index", "build", docs, "--out", tmp_path / "s").fails(
        9, "expertrag models pull all-minilm-l6-v2"
    )
    run("index", "build", docs, "--out", tmp_path / "s", "--embedder", tmp_path / "no").fails(9)
    assert not (tmp_path / "s").exists()


def test_an_unknown_device_ends_with_2(run: Run, store: Path) -> None:
    run("index", "search", store, "tea", "--set", "model.device=nonsense").fails(2, "'cpu'")


def test_a_full_disk_ends_with_8_and_loses_nothing(
    spawn: Run, run: Run, store: Path, docs: Path
) -> None:
    """A limit on the file size simulates a full disk."""
    limit = (store / "store.db").stat().st_size

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    # Many bytes in few tokens: a word so long is one unknown token of the embedder.
    (docs / "tea.txt").write_text(f"{'t' * 120} " * 4_000, encoding="utf-8")
    spawn("index", "add", store, docs, preexec_fn=limited).fails(8)
    assert run("index", "stats", store, "--json").json()["generation"] == 1


def test_the_base_install_names_the_extra(spawn: Run, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('torch', 'numpy', 'faiss'): sys.modules[name] = None\n",
        encoding="utf-8",
    )
    env = {"PYTHONPATH": str(tmp_path)}
    spawn("index", "build", docs, "--out", tmp_path / "s", env=env).fails(
        9, install_command("server")
    )
