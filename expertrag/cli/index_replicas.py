"""``expertrag index push``, ``pull`` and ``follow``: copies of a store on other machines."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.index_watch import until_signal
from expertrag.cli.options import flag, json_flag, store_argument
from expertrag.cli.output import note, print_found, printable, size
from expertrag.cli.progress import progress

if TYPE_CHECKING:
    from expertrag_index.replicas.pull import PullReport
    from expertrag_index.replicas.push import PushReport

_url_argument = click.argument("url")


@click.command()
@store_argument
@_url_argument
@flag(
    "--keep",
    env="EXPERTRAG_REPLICA_KEEP",
    type=click.IntRange(min=2),
    default=3,
    help="Generations to keep at URL; older ones are deleted.",
)
@flag(
    "--again",
    env="EXPERTRAG_PUSH_AGAIN",
    is_flag=True,
    help="Upload everything, to replace what is damaged or missing at URL.",
)
@json_flag
def push(store: Path, url: str, keep: int, again: bool, as_json: bool) -> None:
    """Publish the current generation of STORE at URL, for `index pull` and `index follow`.

    URL is a folder, or one of an object store such as s3://bucket/folder (extra s3).

    Only what is missing there is uploaded. Readers see the generation before until all of this one
    is there. Servers and writers of STORE go on. One store per URL: a push of another store, or of
    one that was restored to an earlier state, is refused.
    """
    from expertrag_index.replicas.push import push as push_store

    with progress() as report:
        done = push_store(store, url, keep=keep, again=again, progress=report)
    print_found(done, as_json, [_describe_push(done)])


@click.command()
@_url_argument
@store_argument
@flag(
    "--again",
    env="EXPERTRAG_PULL_AGAIN",
    is_flag=True,
    help="Check every file of the copy, and replace what is damaged.",
)
@json_flag
def pull(url: str, store: Path, again: bool, as_json: bool) -> None:
    """Make STORE a read-only copy of the store that is pushed to URL, or bring it up to date.

    Only what the copy does not have is downloaded, and all of it is checked by its sha256. The new
    copy takes the place of the one before in one step; a server that serves it goes over. If the
    pull is killed, the copy before is whole, and the next pull uses what is there already.
    """
    from expertrag_index.replicas.pull import pull as pull_store

    with progress() as report:
        done = pull_store(url, store, again=again, progress=report)
    print_found(done, as_json, [_describe_pull(done)])


@click.command()
@_url_argument
@store_argument
@flag(
    "every_s",
    "--every",
    env="EXPERTRAG_REPLICA_EVERY_S",
    type=click.FloatRange(min=0.05, max=86_400),
    default=1.0,
    metavar="SECONDS",
    help="Seconds between two looks at URL.",
)
@json_flag
def follow(url: str, store: Path, every_s: float, as_json: bool) -> None:
    """Keep STORE a copy of what is pushed to URL, until stopped.

    As `index pull`, again and again. While URL cannot be reached, the copy stays as it is, and the
    waits get longer, up to a minute. Ctrl-C or SIGTERM ends it. Status goes to stderr; with --json,
    every new generation also to stdout, as one JSON object a line.
    """
    from expertrag_index.replicas.follow import Follower
    from expertrag_index.replicas.repeat import Schedule

    def report_look(report: PullReport) -> None:
        if report.changed:
            _note(_describe_pull(report))
            if as_json:
                click.echo(json.dumps(asdict(report)))

    def report_failure(problem: str, wait_s: float) -> None:
        _note(f"not pulled: {problem} (next try in {wait_s:.0f} s)")

    with until_signal("the running pull is given up") as stop:
        follower = Follower(url, store, Schedule(stop, every_s, report_failure), looked=report_look)
        follower.run()


def _describe_push(done: PushReport) -> str:
    if not done.objects:
        return f"generation {done.generation} is there already"
    return (
        f"generation {done.generation}: {done.objects:,} objects, {size(done.bytes)} uploaded, "
        f"{done.deleted:,} deleted in {done.seconds:.1f} s"
    )


def _describe_pull(done: PullReport) -> str:
    if not done.changed:
        return f"generation {done.generation} is the newest"
    return (
        f"generation {done.generation}: {done.objects:,} objects, {size(done.bytes)} downloaded in "
        f"{done.seconds:.1f} s"
    )


def _note(message: str) -> None:
    note(f"{datetime.now().astimezone():%H:%M:%S} {printable(message)}")
