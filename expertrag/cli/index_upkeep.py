"""``expertrag index verify``, ``repair``, ``compact``, ``backup`` and ``restore``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.exits import ExitCode
from expertrag.cli.index_writer import LOCK_WAIT_S
from expertrag.cli.options import (
    flag,
    json_flag,
    list_typed_settings,
    store_argument,
    vectors_option,
    with_config,
)
from expertrag.cli.output import emit_json, print_found, size
from expertrag.cli.progress import progress
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag_index.types import BackupReport, VerifyReport

_force_flag = flag("--force", is_flag=True, help="Replace what is there.")


@click.command()
@store_argument
@flag("--repair", is_flag=True, help="Rebuild damaged parts, as `index repair` does.")
@flag(
    "--deep",
    is_flag=True,
    help="Also embed 200 chunks of each partition again, and compare search with exact search.",
)
@with_config(settable=("model.embedder", "model.device"))
@json_flag
def verify(store: Path, repair: bool, deep: bool, config: Config, as_json: bool) -> None:
    """Check every file, row, vector and word of a store. Exits with 5 if a problem remains."""
    from expertrag_index.upkeep.verify import verify as verify_store

    typed = [*list_typed_settings().values()]
    if typed and not deep:
        raise click.UsageError(f"{typed[0]} needs --deep, which embeds chunks; use both")
    with progress() as report:
        result = verify_store(store, repair=repair, progress=report)
        if deep and not result.problems:
            from expertrag.stores.embedders import open_embedder
            from expertrag_index.store.index import Index
            from expertrag_index.upkeep.deep import deep_check

            embedder = open_embedder(config.model, store)
            Index.open(store, embedder_fingerprint=embedder.fingerprint).close()  # not another one
            result = replace(result, problems=tuple(deep_check(store, embedder, report)))
    _show(store, result, as_json, repaired=repair or deep)


@click.command()
@store_argument
@json_flag
def repair(store: Path, as_json: bool) -> None:
    """Rebuild what is damaged, as a new generation.

    Vectors, postings and manifests are rebuilt from the rows, also in a store of an earlier
    version. Documents whose rows are damaged are removed and listed; `index build` adds them again.
    Exits with 5 if a problem remains.
    """
    from expertrag_index.upkeep.verify import verify as verify_store

    with progress() as report:
        result = verify_store(store, repair=True, progress=report)
    _show(store, result, as_json, repaired=True)


def _show(store: Path, result: VerifyReport, as_json: bool, *, repaired: bool) -> None:
    if as_json:
        emit_json(result)
    else:
        for line in result.repaired:
            click.echo(f"repaired: {line}")
        for line in result.problems:
            click.echo(f"problem: {line}")
        counts = f"{result.documents:,} documents, {result.chunks:,} chunks, {result.files:,} files"
        state = f"{len(result.problems)} problems" if result.problems else "no problems"
        click.echo(f"generation {result.generation}: {counts}: {state}")
        if result.problems and result.repairable and not repaired:
            click.echo(f"to repair: expertrag index repair {store}")
    if result.problems:
        click.get_current_context().exit(ExitCode.CORRUPT)


@click.command()
@store_argument
@vectors_option
@json_flag
def compact(store: Path, vectors: str | None, as_json: bool) -> None:
    """Merge the vector files of a store, erase deleted texts and shrink the database.

    Publishes the same documents as a new generation; servers go over to it. Writers merge vector
    files and reuse space by themselves: this is for after large deletions.
    """
    from expertrag_common.cores import available_cores
    from expertrag_index.build.settings import WriterSettings
    from expertrag_index.upkeep.compact import compact as compact_store

    with progress() as report:
        done = compact_store(
            store,
            settings=WriterSettings(
                vectors=vectors, threads=available_cores(), lock_wait_s=LOCK_WAIT_S
            ),
            progress=report,
        )
    line = (
        f"generation {done.generation}: {size(done.bytes_before)} before, "
        f"{size(done.bytes_after)} after, in {done.seconds:.1f} s"
    )
    print_found(done, as_json, [line])


@click.command()
@store_argument
@click.argument("out", type=click.Path(path_type=Path))
@_force_flag
@json_flag
def backup(store: Path, out: Path, force: bool, as_json: bool) -> None:
    """Back up the published generation of STORE to the folder OUT.

    Servers and writers go on meanwhile. The copy is checked like any store before it gets its name:
    a backup that is there is whole. `sha256sum -c SHA256SUMS` checks it again later.
    """
    from expertrag_index.upkeep.backup import backup as back_up

    with progress() as report:
        done = back_up(store, out, force=force, progress=report)
    _show_copy(done, out, as_json)


@click.command()
@click.argument("backup", type=click.Path(path_type=Path))
@store_argument
@_force_flag
@json_flag
def restore(backup: Path, store: Path, force: bool, as_json: bool) -> None:
    """Make the store STORE from the folder BACKUP, whose checksums are compared first.

    With --force it replaces a store, in one step and as its only writer. The restored generation
    gets the number after the last one, so that running servers go over to it.
    """
    from expertrag_index.upkeep.backup import restore as restore_store

    with progress() as report:
        done = restore_store(backup, store, force=force, progress=report)
    _show_copy(done, store, as_json)


def _show_copy(done: BackupReport, path: Path, as_json: bool) -> None:
    line = (
        f"{path}: generation {done.generation}, {done.documents:,} documents, "
        f"{done.chunks:,} chunks, {size(done.bytes)} in {done.seconds:.1f} s"
    )
    print_found(done, as_json, [line])
