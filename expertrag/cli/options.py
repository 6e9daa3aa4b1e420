"""Options: settings derived from the configuration dataclasses, and flags of single commands."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.types import SearchMode
from expertrag.cli.assignments import ASSIGNED, refuse_twice, set_option
from expertrag.cli.completers import OF_SETTINGS
from expertrag.config import CONFIG_ENV, ENV_PREFIX, Config, Setting, load, render, settings

Command = Callable[..., Any]


def flag(
    *names: str, env: str | None = None, group: str = "", **attributes: Any
) -> Callable[[Command], Command]:
    """Return a command's option; its help shows its environment variable and its default."""
    name = names[-1].partition("/")[0].lstrip("-").replace("-", "_").upper()
    twin = env or ENV_PREFIX + group + name
    if attributes.get("default") not in (None, ""):
        attributes["show_default"] = True
    return click.option(*names, envvar=twin, show_envvar=True, **attributes)


def flags_of(group: str) -> Callable[..., Callable[[Command], Command]]:
    """Return ``flag`` for options whose environment variables are called EXPERTRAG_GROUP_…."""
    return functools.partial(flag, group=f"{group}_")


json_flag = flag("as_json", "--json", is_flag=True, help="Print JSON on stdout.")


def out_folder(
    env: str, metavar: str, help: str = "Folder to create; it must not exist."
) -> Callable[[Command], Command]:
    """Return the option that names a folder to create.

    An existing path raises ``Conflict``; one that cannot be created, ``InvalidArgument``.
    """
    return flag(
        "--out",
        env=env,
        type=click.Path(path_type=Path),
        required=True,
        metavar=metavar,
        callback=_absent,
        help=help,
    )


def _absent(_context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    if os.path.lexists(path):
        raise Conflict(f"{path} exists; delete it or choose another name")
    check_creatable(path, parameter.opts[-1])
    return path


def check_creatable(path: Path, option: str) -> None:
    """Check that the file or folder of an option can be created.

    :raises InvalidArgument: the nearest existing path above it is not a folder, or not writable.
    """
    above = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not os.path.isdir(above):
        why = "a folder"
    elif not os.access(above, os.W_OK | os.X_OK):
        why = "writable"
    else:
        return
    raise InvalidArgument(f"{path} cannot be created: {above} is not {why}; give another {option}")


def _parse_filter(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> dict[str, object] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"is not JSON ({error}); write {FILTER_EXAMPLE}") from None
    if not isinstance(value, dict):
        raise click.BadParameter(f"is not a JSON object; write {FILTER_EXAMPLE}")
    return value


FILTER_EXAMPLE = """'{"year": {"$gte": 2024}}'"""

filter_option = flag(
    "metadata_filter",
    "--filter",
    metavar="JSON",
    callback=_parse_filter,
    help=f"Metadata filter, such as {FILTER_EXAMPLE}.",
)
search_mode_option = flag(
    "--mode",
    env=f"{ENV_PREFIX}RETRIEVE_MODE",
    type=click.Choice([mode.value for mode in SearchMode]),
    default=SearchMode.HYBRID.value,
    help="Search mode: dense vectors, BM25, or the fusion of both.",
)
_print_config_flag = flag(
    "--print-config",
    is_flag=True,
    help="Print the effective configuration, with the origin of each value, and exit.",
)
_config_flag = flag(
    "config_file",
    "--config",
    env=CONFIG_ENV,
    type=click.Path(path_type=Path),
    help="Configuration file (TOML).",
)
chunk_tokens_option = flag(
    "--chunk-tokens",
    type=click.IntRange(min=16),
    metavar="N",
    help="Longest chunk in tokens, titles included; a store keeps the length of its first build. "
    "Without it 256, or what the embedder reads if that is less.",
)
vectors_option = flag(
    "--vectors",
    metavar="WHERE",
    help="Where vectors are kept and searched: faiss, in the store's folder; "
    "postgresql://USER@HOST/DATABASE#NAME; or qdrant+https://HOST:PORT#NAME. Vectors that are "
    "elsewhere are moved. Without it they stay where they are, in a new store faiss.",
)
store_argument = click.argument("store", type=click.Path(path_type=Path))


def with_config(*keys: str, settable: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Add flags of the settings ``keys`` to a command, and pass it the merged ``config``.

    Also adds ``--config`` and ``--print-config``. The configuration reads the environment itself;
    click knows the variables only to show them.

    :param keys: keys or sections.
    :param settable: those that ``--set`` sets, besides ``keys``; the command has it only then.
    """
    chosen = [item for item in settings() if item.key in keys or item.section in keys]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(config_file: Path | None, print_config: bool, **rest: Any) -> Any:
            values = {item.key: rest.pop(parameter_of(item)) for item in chosen}
            assigned = rest.pop(ASSIGNED, None) or {}
            typed = list_typed({parameter_of(item): item.key for item in chosen})
            refuse_twice(typed, assigned)
            flags = {key: values[key] for key in typed}
            loaded = load(config_file, flags=flags, assigned=assigned)
            if print_config:
                click.echo(render(loaded), nl=False)
                return
            command(config=loaded.config, **rest)

        wrapped: Command = run
        if settable:
            wrapped = set_option(*keys, *settable)(wrapped)
        for item in reversed(chosen):
            wrapped = _option(item)(wrapped)
        return _config_flag(_print_config_flag(wrapped))

    return decorate


def index_of(config: Config) -> Path:
    """Return the store that a command works on.

    :raises InvalidArgument: if none was given.
    """
    if not config.index:
        raise InvalidArgument(
            "no store given: add --index STORE (from `expertrag index build DOCS --out STORE`)",
            metadata={"field": "index"},
        )
    return Path(config.index)


def list_typed(options: Mapping[str, str]) -> list[str]:
    """Return the options that stand on the command line, not in the environment or a file.

    :param options: how they are written, by their names in the context.
    """
    context = click.get_current_context()
    return [
        option
        for name, option in options.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]


def list_typed_settings() -> dict[str, str]:
    """Return the settings that flags and ``--set`` give on the command line.

    :return: how they are written, by their keys.
    """
    options = {parameter_of(item): item.key for item in settings()}
    flags = {item.key: item.flag for item in settings()}
    typed = {key: flags[key] for key in list_typed(options)}
    assigned = click.get_current_context().params.get(ASSIGNED) or {}
    return {**typed, **{key: f"--set {key}" for key in assigned}}


def parameter_of(setting: Setting) -> str:
    """Return the name of a setting's option in a context."""
    return setting.key.replace(".", "__")


def _option(setting: Setting) -> Callable[[Command], Command]:
    names = setting.flag
    if setting.kind is bool:
        names = f"{setting.flag}/{setting.flag.replace('--', '--no-', 1)}"
    return flag(
        parameter_of(setting),
        names,
        env=setting.env,
        type=click.Choice(setting.choices) if setting.choices else setting.kind,
        default=setting.default,
        help=setting.help,
        shell_complete=OF_SETTINGS.get(setting.key),
    )
