"""``expertrag tokens``: make, list, rotate and revoke the bearer tokens of a server."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import GateMode
from expertrag.auth.caller import Scope
from expertrag.cli.options import Command, flags_of, json_flag, with_config
from expertrag.cli.output import emit_json, note, print_found
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag.auth.token_file import NewToken, Token, TokenFile

ALL_LABELS = "*"
DEFAULT_DAYS = 90

flag = flags_of("TOKENS")


class _Granted(TypedDict):
    """What a token grants; ``days`` until it expires, 0 for never."""

    scopes: tuple[str, ...]
    tenant: str
    labels: tuple[str, ...]
    days: int
    quota: tuple[str, ...]
    mode: str | None


@click.group()
def tokens() -> None:
    """Make, list, rotate and revoke the bearer tokens of a server.

    The file of --tokens holds only their hashes. A running server follows its changes within a
    second.
    """


def _with_file(command: Callable[..., None]) -> Command:
    """Pass a command the token file of the configuration."""

    @with_config("auth.tokens")
    @functools.wraps(command)
    def run(config: Config, **rest: Any) -> None:
        from expertrag.auth.token_file import TokenFile

        if not config.auth.tokens:
            raise InvalidArgument(
                "no token file given: add --tokens FILE, or set EXPERTRAG_AUTH_TOKENS",
                metadata={"field": "auth.tokens"},
            )
        command(file=TokenFile(Path(config.auth.tokens)), **rest)

    return run


@click.command()
@click.argument("name")
@flag(
    "scopes",
    "--scope",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    default=(Scope.READ.value,),
    help="read: ask and search; write: add and delete documents; admin: create and drop "
    "collections, load and unload adapters, read the audit log. Repeatable; none includes another.",
)
@flag(
    "--tenant",
    default="",
    help="Tenant whose collections it names. Unset: no tenant.",
)
@flag(
    "labels",
    "--label",
    multiple=True,
    default=(ALL_LABELS,),
    metavar="LABEL",
    help="Access label, repeatable: it sees documents without labels, and those with one of its "
    "own. * sees every document; '' only those without labels.",
)
@flag(
    "--days",
    type=click.IntRange(min=0, max=36_500),
    default=DEFAULT_DAYS,
    help="Days until it expires; 0 for never.",
)
@flag(
    "quota",
    "--quota",
    multiple=True,
    metavar="NAME=N",
    help="Limit of its own, repeatable, such as requests=60: requests, tokens, documents or bytes "
    "per minute, or concurrent calls. Unset: the server's limits.",
)
@flag(
    "--mode",
    type=click.Choice([mode.value for mode in GateMode]),
    help="Mode of its requests that name none. Unset: the mode of the collection, or of the "
    "server.",
)
@json_flag
@_with_file
def create(file: TokenFile, name: str, as_json: bool, **granted: Unpack[_Granted]) -> None:
    """Make a token called NAME, and print it: it is shown only now."""
    from expertrag.api.access import Access
    from expertrag.auth.caller import parse_scopes

    labels, days, mode = granted["labels"], granted["days"], granted["mode"]
    seen = None if ALL_LABELS in labels else frozenset(label for label in labels if label)
    made = file.create(
        name,
        parse_scopes(granted["scopes"]),
        access=Access(granted["tenant"], seen),
        lifetime=timedelta(days=days) if days else None,
        quota=_quota(granted["quota"]),
        mode=GateMode(mode) if mode else None,
    )
    _show(made, as_json)


@click.command("list")
@json_flag
@_with_file
def list_(file: TokenFile, as_json: bool) -> None:
    """List the tokens, without their secrets."""
    tokens = file.tokens()
    print_found([_facts(token) for token in tokens], as_json, map(_line, tokens))


@click.command()
@click.argument("token_id", metavar="ID")
@flag(
    "--grace-hours",
    type=click.FloatRange(min=0),
    default=24.0,
    help="Hours that the old token is still accepted.",
)
@json_flag
@_with_file
def rotate(file: TokenFile, token_id: str, grace_hours: float, as_json: bool) -> None:
    """Make a token like ID, which expires soon, and print it."""
    _show(file.rotate(token_id, grace=timedelta(hours=grace_hours)), as_json)


@click.command()
@click.argument("token_id", metavar="ID")
@json_flag
@_with_file
def revoke(file: TokenFile, token_id: str, as_json: bool) -> None:
    """Revoke the token ID; servers refuse it within a second."""
    revoked = file.revoke(token_id)
    line = f"revoked {revoked.id} ({revoked.name})"
    print_found({"revoked": _facts(revoked)}, as_json, [line])


for command in (create, list_, rotate, revoke):
    tokens.add_command(command)


def _show(made: NewToken, as_json: bool) -> None:
    if as_json:
        emit_json({**_facts(made.token), "token": made.text})
        return
    click.echo(made.text)
    note(f"{_line(made.token)}; keep the token above, it is not shown again")


def _facts(token: Token) -> dict[str, Any]:
    labels = token.access.labels
    return {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "tenant": token.access.tenant,
        "labels": [ALL_LABELS] if labels is None else sorted(labels),
        "created": token.created.isoformat(),
        "expires": token.expires.isoformat() if token.expires else None,
        "expired": token.is_expired,
        "quota": token.quota.dump(),
        "mode": token.mode,
    }


def _line(token: Token) -> str:
    labels = token.access.labels
    parts = [
        token.id,
        token.name,
        "+".join(sorted(token.scopes)),
        f"tenant {token.access.tenant}" if token.access.tenant else "no tenant",
        "all labels" if labels is None else f"labels {', '.join(sorted(labels)) or 'none'}",
        *([f"mode {token.mode}"] if token.mode else []),
        *(f"{name} {limit:,}" for name, limit in token.quota.dump().items()),
    ]
    ends = "never expires"
    if token.expires:
        ends = f"{'expired' if token.is_expired else 'expires'} {token.expires:%Y-%m-%d %H:%M} UTC"
    return "  ".join([*parts, ends])


def _quota(items: tuple[str, ...]) -> Any:
    from expertrag.auth.quota import Quota

    limits: dict[str, object] = {}
    for item in items:
        name, equals, number = item.partition("=")
        if not equals or not number.isascii() or not number.isdigit():
            raise InvalidArgument(f"quota: {item!r} is not NAME=N, such as requests=60")
        limits[name] = int(number)
    return Quota.parse(limits)
