"""``expertrag index``: build, change, migrate, describe and search a store."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from expertrag.api.errors import NotFound
from expertrag.cli.build_engine import IN_PROCESS, BuildEngine, embed_pool, engine_flags
from expertrag.cli.exits import ExitCode
from expertrag.cli.index_writer import opener, resumable
from expertrag.cli.options import (
    chunk_tokens_option,
    filter_option,
    flag,
    json_flag,
    search_mode_option,
    store_argument,
    vectors_option,
    with_config,
)
from expertrag.cli.output import (
    emit_json,
    exit_if_skipped,
    note,
    note_failures,
    passage_lines,
    print_found,
)
from expertrag.cli.progress import progress
from expertrag.cli.reading import Limits, docs_argument, reading
from expertrag.cli.removals import removal_check, yes_flag
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag_index.build.writer import IndexWriter
    from expertrag_index.types import BuildReport, Document, LoadFailure

_SOME = 0.02
"""Share of non-English text from which a build prints a note."""

_SAMPLE = 100
_SAMPLE_CHARS = 500_000
"""First documents of a new store, and their characters, whose languages decide on its embedder."""


class _BuildOptions(TypedDict):
    """The options of ``index build`` for the whole of a store."""

    engine: BuildEngine
    vectors: str | None
    chunk_tokens: int | None
    yes: bool


@click.group()
def index() -> None:
    """Build, change, verify and search a document store."""


@index.command()
@docs_argument
@flag(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="STORE",
    help="Folder of the store; created if missing.",
)
@engine_flags
@vectors_option
@chunk_tokens_option
@yes_flag
@reading("model.embedder", "model.reranker", settable=("model.device",))
@json_flag
def build(
    docs: tuple[Path, ...],
    out: Path,
    limits: Limits,
    config: Config,
    as_json: bool,
    **whole: Unpack[_BuildOptions],
) -> None:
    """Build a store of exactly the documents in DOCS.

    DOCS are files, folders and BEIR folders.

    Run it again after a change or a crash: only new and changed text is embedded. Documents that
    are gone are removed, unless they could not be read this time. If that is over a tenth of the
    store, it asks first; without a terminal, nothing is done without --yes.
    """
    _update(docs, out, limits, config, as_json, _WholeBuild(**whole))


@index.command()
@store_argument
@docs_argument
@reading(settable=("model.embedder", "model.reranker", "model.device"))
@json_flag
def add(store: Path, docs: tuple[Path, ...], limits: Limits, config: Config, as_json: bool) -> None:
    """Add the documents in DOCS to a store.

    Documents with the same id and source are replaced. A folder or file that lies in a folder that
    the store was built from is read as a part of it. Its documents have the same ids and domains.

    A stored document with the same id but another source is kept, and the one in DOCS is listed as
    skipped.
    """
    _need_store(store)
    _update(docs, store, limits, config, as_json)


@index.command()
@store_argument
@with_config("model.embedder", settable=("model.device",))
@json_flag
def migrate(store: Path, config: Config, as_json: bool) -> None:
    """Migrate a store to another embedder, without its files.

    The embedder may be a bundle with more domains.

    Only chunks whose expert changes are embedded again. The store serves its old generation until
    the migration is done; running servers then switch. An interrupted migration resumes with the
    same command. With the store's own embedder, documents are reassigned to its experts.
    """
    _need_store(store)
    with (
        resumable(store),
        progress() as report,
        _writer(store, config, report, migrating=True) as writer,
    ):
        done = writer.migrate()
    if as_json:
        emit_json(done)
    else:
        for warning in (failure for failure in done.failures if failure.notice):
            note(f"warning: {warning.reason}; {warning.cure}")
        note_failures([failure for failure in done.failures if not failure.notice])
        click.echo(
            f"generation {done.generation}: re-encoded {done.chunks_embedded:,} of "
            f"{done.chunks:,} chunks; {done.changed:,} documents changed, {done.unchanged:,} "
            f"unchanged, {done.removed:,} removed in {done.seconds:.1f} s"
        )
    exit_if_skipped(done.failures)


@index.command()
@store_argument
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@flag("--dry-run", is_flag=True, help="Print what would be deleted, and delete nothing.")
@with_config(settable=("model.embedder", "model.device"))
@json_flag
def delete(store: Path, ids: tuple[str, ...], dry_run: bool, config: Config, as_json: bool) -> None:
    """Delete documents by ID. Exits with 3 if some do not exist, with 4 if none does."""
    _need_store(store)
    from expertrag_index.types import silent

    known = _filter_known(store, ids)
    unknown = [document_id for document_id in ids if document_id not in known]
    generation = None
    if known and not dry_run:
        with _writer(store, config, silent) as writer:
            generation = writer.delete(known).generation
    if as_json:
        emit_json(
            {"deleted": known, "unknown": unknown, "dry_run": dry_run, "generation": generation}
        )
    else:
        for document_id in known:
            click.echo(f"{'would delete' if dry_run else 'deleted'} {document_id}")
        for document_id in unknown:
            click.echo(f"no document {document_id} in {store}", err=True)
    if unknown:
        click.get_current_context().exit(ExitCode.PARTIAL if known else ExitCode.NOT_FOUND)


@index.command()
@store_argument
@click.argument("query")
@search_mode_option
@filter_option
@with_config(
    "search.k",
    "request.rerank",
    settable=("model.embedder", "model.reranker", "model.device", "rerank", "lab.wording"),
)
@json_flag
def search(
    store: Path,
    query: str,
    mode: str,
    metadata_filter: Mapping[str, object] | None,
    config: Config,
    as_json: bool,
) -> None:
    """Search a store without a server or language model."""
    from expertrag.api import validation
    from expertrag.api.rerank import RerankMode
    from expertrag.api.types import RetrieveRequest, SearchMode

    request = RetrieveRequest(
        query,
        config.search.k,
        metadata_filter or {},
        SearchMode(mode),
        rerank=RerankMode(config.request.rerank),
    )
    validation.check_retrieve(request)
    _need_store(store)  # before torch is imported
    from expertrag.answer.local_search import search_locally

    done, degraded = search_locally(store, request, config)
    if degraded:
        note(f"warning: {degraded}")
    if done.skipped:
        note(f"not reranked: {done.skipped}")
    print_found(done.result, as_json, passage_lines(done.result.passages))


@dataclass(frozen=True, slots=True)
class _WholeBuild:
    """How the whole of a store is built; ``yes``: whatever it removes."""

    engine: BuildEngine = IN_PROCESS
    vectors: str | None = None
    chunk_tokens: int | None = None
    yes: bool = False


def _update(
    docs: Sequence[Path],
    store: Path,
    limits: Limits,
    config: Config,
    as_json: bool,
    whole: _WholeBuild | None = None,
) -> None:
    """Write the documents in ``docs``; a ``whole`` store then holds nothing else."""
    from expertrag_index.build.settings import WriterSettings
    from expertrag_index.loaders import ReadLimits, load
    from expertrag_index.sources.built import (
        claim_built,
        find_folders_above,
        keep_skipped,
        note_sources,
    )
    from expertrag_index.words.language import LanguageShare

    how = whole or _WholeBuild()
    settings = WriterSettings(vectors=how.vectors, chunk_tokens=how.chunk_tokens)

    failures: list[LoadFailure] = []
    languages, sources = LanguageShare(), set[str]()
    above = {} if whole else find_folders_above(store, docs)
    rest = dict(limits)
    patterns = {name: rest.pop(name) for name in ("include", "exclude")}
    limited = ReadLimits(**rest)
    read = load(docs, on_failure=failures.append, limits=limited, within=above, **patterns)
    documents = languages.watch(note_sources(read, sources))
    first = _read_sample(documents, failures)
    config = _choose_embedder(config, store, languages.other)
    with (
        resumable(store),
        progress(in_bytes=("embed",)) as report,
        embed_pool(how.engine, config.model, store, report) as pool,
        opener(store, config, report, settings=settings)(pool=pool) as writer,
    ):
        every = itertools.chain(first, documents)
        check = removal_check(yes=how.yes)
        done = writer.build(every, failures, check) if whole else writer.add(every, failures)
        claim_built(store, docs, sources, above)
        keep_skipped(store, done.failures, None if whole else docs, sources, above)
    _note_language(languages.other, store)
    _show(done, as_json)
    exit_if_skipped(done.failures)


def _show(done: BuildReport, as_json: bool) -> None:
    if as_json:
        emit_json(done)
        return
    note_failures(done.failures)
    click.echo(
        f"generation {done.generation}: {done.added:,} added, {done.changed:,} changed, "
        f"{done.unchanged:,} unchanged, {done.removed:,} removed; {done.chunks:,} chunks, "
        f"{done.chunks_embedded:,} embedded in {done.seconds:.1f} s"
    )


def _read_sample(documents: Iterator[Document], failures: Sequence[LoadFailure]) -> list[Document]:
    """Read the first documents, up to a number and a size.

    :raises NotFound: there are none: a mistyped or emptied folder must not empty the store.
    """
    sample: list[Document] = []
    chars = 0
    for document in itertools.islice(documents, _SAMPLE):
        sample.append(document)
        chars += len(document.text)
        if chars >= _SAMPLE_CHARS:
            break
    if not sample:
        note_failures(failures)
        message = "no readable documents found; nothing was changed"
        raise NotFound(message, reason="NO_DOCUMENTS")
    return sample


def _choose_embedder(config: Config, store: Path, other: float) -> Config:
    """Name the embedder of a new store by the languages of its first documents."""
    from expertrag.stores.embedders import choose_embedder

    model = choose_embedder(config.model, store, other)
    if model is not config.model:
        note(
            f"note: {other:.0%} of the text is not English: the embedder is {model.embedder}; "
            "--embedder chooses another"
        )
    return replace(config, model=model)


def _note_language(other: float, store: Path) -> None:
    """Print a note if some of the text is not English and the embedder is English-only."""
    if other < _SOME:
        return
    from expertrag.models import MULTILINGUAL, is_english_only
    from expertrag_index.store.index import Index

    with Index.open(store) as opened:
        name = opened.manifest.embedder.name
    if is_english_only(name):
        note(
            f"note: {other:.0%} of the text is not English, and the embedder {name} is "
            "English-only: BM25 finds such documents by their words; to find them by meaning too, "
            f"run `expertrag models pull {MULTILINGUAL}` and "
            f"`expertrag index migrate {store} --embedder {MULTILINGUAL}`"
        )


def _writer(
    store: Path,
    config: Config,
    report: Callable[[str, int, int | None], None],
    *,
    migrating: bool = False,
) -> IndexWriter:
    return opener(store, config, report, migrating=migrating)()


def _need_store(store: Path) -> None:
    """Raise before a model is loaded if there is no store; only ``build`` creates one."""
    from expertrag_index.store.index import Index

    Index.open(store).close()


def _filter_known(store: Path, ids: Sequence[str]) -> list[str]:
    """Return the ids that the store holds."""
    from expertrag_index.errors import SearchError
    from expertrag_index.store.index import Index

    known = []
    with Index.open(store) as opened:
        for document_id in ids:
            try:
                opened.document_text(document_id)
            except SearchError:
                continue
            known.append(document_id)
    return known
