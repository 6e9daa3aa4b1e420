"""``expertrag index sync``: bring a store into step with a list of sources."""

from __future__ import annotations

import functools
import re
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from expertrag.cli.exits import message_of
from expertrag.cli.index_watch import until_signal
from expertrag.cli.index_writer import opener, resumable
from expertrag.cli.options import flag, json_flag, store_argument
from expertrag.cli.output import emit_json, exit_if_skipped, note, note_failures, printable
from expertrag.cli.progress import Relay
from expertrag.cli.reading import Limits, reading
from expertrag.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable

    from expertrag_index.sources.source_list import ListContext
    from expertrag_index.sources.sync import SyncReport

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class _SyncOptions(TypedDict):
    """How ``index sync`` runs; times in seconds, ``every_s`` 0 for once."""

    every_s: int
    yes: bool
    adopt: bool
    allow_private_addresses: bool
    page_s: float


def _seconds(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    if not text:
        return 0
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None or int(match[1]) == 0:
        raise click.BadParameter("write it as 30s, 10m, 6h or 1d")
    return int(match[1]) * _UNITS[match[2]]


@click.command()
@store_argument
@click.argument("sources", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@flag(
    "every_s",
    "--every",
    env="EXPERTRAG_EVERY",
    default="",
    callback=_seconds,
    metavar="TIME",
    help="Do it again after each TIME (30s, 10m, 6h, 1d), until stopped.",
)
@flag("--yes", is_flag=True, help="Delete documents even if that is over half of the store.")
@flag(
    "--adopt",
    is_flag=True,
    help="Take over stored documents of another folder of the same name, as of one that was moved.",
)
@flag(
    "--allow-private-addresses",
    is_flag=True,
    help="Also fetch pages at loopback, private and other addresses that are not public.",
)
@flag(
    "--page-s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    help="Seconds that fetching a page may take.",
)
@reading("model.embedder", settable=("model.device",))
@json_flag
def sync(
    store: Path,
    sources: Path,
    limits: Limits,
    config: Config,
    as_json: bool,
    **options: Unpack[_SyncOptions],
) -> None:
    r"""Bring a store into step with the list of sources in the YAML file SOURCES.

    \b
    sources:
      - folder: handbook                    # relative to the file
        exclude: [drafts/]
      - glob: manuals/**/*.pdf
      - url: https://example.com/terms.html
      - url: s3://bucket/notes/             # needs the extra: expertrag[s3]
        labels: [staff]

    The store is created if it is missing. What did not change is not read again: files of known
    size and time, pages whose server says so, objects of known version. What cannot be read keeps
    its version from before, and is listed. Documents are deleted if their file is gone, or if their
    page is gone in two runs in a row. They are also deleted if their source left the list. Other
    documents are never touched. If that would delete over half of the store, nothing is done
    without --yes.
    """
    from expertrag_index.sources.scratch import Scratch
    from expertrag_index.sources.source_list import read_source_list
    from expertrag_index.sources.sync import SourceSync

    context = _context(store, sources, limits, options)
    relay = Relay()
    loaded = functools.cache(lambda: opener(store, config, relay))  # not if nothing has changed
    syncer = SourceSync(store, sources, lambda: loaded()())

    def run(*, adopt: bool) -> SyncReport:
        with Scratch() as scratch, relay.show(in_bytes=("embed",)):
            listed = read_source_list(sources, context, scratch)
            return syncer.run(listed, confirmed=options["yes"], adopt=adopt)

    with resumable(store):
        done = run(adopt=options["adopt"])
    _show(done, as_json)
    if every_s := options["every_s"]:
        _repeat(lambda: run(adopt=False), every_s, as_json)
    else:
        exit_if_skipped(done.step.failures)


def _context(store: Path, sources: Path, limits: Limits, options: _SyncOptions) -> ListContext:
    from expertrag_index.loaders import ReadLimits
    from expertrag_index.sources.addresses import refusal, refuse_none
    from expertrag_index.sources.download import HttpPolicy
    from expertrag_index.sources.source_list import ListContext

    rest = dict(limits)
    if rest.pop("include") + rest.pop("exclude"):
        raise click.UsageError("write include and exclude into the list, at their sources")
    allowed = refuse_none if options["allow_private_addresses"] else refusal
    policy = HttpPolicy(allowed, options["page_s"])
    return ListContext(sources.resolve().parent, store, ReadLimits(**rest), policy)


def _repeat(run: Callable[[], SyncReport], every_s: int, as_json: bool) -> None:
    with until_signal() as stop:
        due = time.monotonic() + every_s
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + every_s
            note(f"{datetime.now():%H:%M:%S} begins")
            try:
                _show(run(), as_json)
            except Exception as error:  # the next run may succeed
                note(f"{datetime.now():%H:%M:%S} failed: {message_of(error)}")


def _show(done: SyncReport, as_json: bool) -> None:
    step = done.step
    if as_json:
        counts: dict[str, Any] = asdict(step)
        emit_json({**counts, "dropped": done.dropped, "unclaimed": done.unclaimed})
        return
    note_failures(step.failures)
    for key, count in done.dropped.items():
        note(printable(f"{key} left the list: {count:,} documents deleted"))
    if done.unclaimed:
        note(
            f"note: {done.unclaimed:,} documents look as if they came from a source, but were not "
            "read from it: they are kept; run once with --adopt to delete them"
        )
    failed = sum(not failure.notice for failure in step.failures)
    click.echo(
        f"{step.added:,} added, {step.changed:,} changed, {step.unchanged:,} unchanged, "
        f"{step.removed:,} removed, {failed:,} failed in {step.seconds:.1f} s"
    )
