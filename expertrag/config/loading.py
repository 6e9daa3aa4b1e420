"""Load the configuration: flag over environment over file over default."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.config.moved import successor_of
from expertrag.config.schema import Config, settings
from expertrag.config.setting import ENV_PREFIX, Setting, invalid

CONFIG_ENV = f"{ENV_PREFIX}CONFIG"
"""Environment variable of ``--config``."""

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and, by key, where each value came from ("default" when not listed)."""

    config: Config
    origins: Mapping[str, str]


def load(
    file: Path | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    assigned: Mapping[str, str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Loaded:
    """Merge all sources into one validated configuration.

    :param file: TOML file; None uses ``EXPERTRAG_CONFIG`` if it is set.
    :param flags: values given on the command line, by key (``service.address``).
    :param assigned: values of ``--set`` by key, as they were typed; they rank with flags.
    :raises InvalidArgument: an unknown key or an invalid value; the message names the key and its
        source.
    :raises NotFound: if the file does not exist.
    """
    named = environ.get(CONFIG_ENV)
    file = Path(named) if file is None and named else file
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    if file is not None:
        from_file = _from_file(file)
        values.update(from_file)
        origins.update(dict.fromkeys(from_file, f"file {file}"))
    for setting, text in _from_environment(environ):
        values[setting.key] = _parse(setting, text)
        origins[setting.key] = f"environment {setting.env}"
    by_key = {setting.key: setting for setting in settings()}
    for key, value in (flags or {}).items():
        values[key] = value
        origins[key] = f"flag {by_key[key].flag}"
    for key, text in (assigned or {}).items():
        values[key] = _parse(by_key[key], text)
        origins[key] = f"flag --set {key}"
    return Loaded(_build(values, origins), origins)


def setting_called(key: str) -> Setting:
    """Return the setting of a key, such as ``model.generator``.

    :raises InvalidArgument: there is none; the message names the likeliest one.
    """
    by_key = {setting.key: setting for setting in settings()}
    if key not in by_key:
        raise _unknown(key, "unknown key", by_key)
    return by_key[key]


def _from_file(file: Path) -> dict[str, object]:
    try:
        with file.open("rb") as handle:
            tables = tomllib.load(handle)
    except FileNotFoundError:
        message = f"no configuration file {file}; create it or omit --config"
        raise NotFound(message, reason="CONFIG_NOT_FOUND") from None
    except OSError as error:
        message = f"cannot read the configuration file {file}: {error.strerror}"
        raise InvalidArgument(message, reason="INVALID_CONFIG") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        message = f"the configuration file {file} is not valid TOML: {reason}"
        raise InvalidArgument(message, reason="INVALID_CONFIG") from None
    known = {setting.key for setting in settings()}
    sections = {key.partition(".")[0] for key in known if "." in key}
    values: dict[str, object] = {}
    for name, value in tables.items():
        inner = {name: value}
        if name in sections:
            if not isinstance(value, dict):
                raise invalid(name, f"is a section in {file}; write [{name}] and its keys below")
            inner = {f"{name}.{key}": entry for key, entry in value.items()}
        for key, entry in inner.items():
            if key not in known:
                raise _unknown(key, f"unknown key in {file}", known | sections)
            values[key] = entry
    return values


def _from_environment(environ: Mapping[str, str]) -> Iterable[tuple[Setting, str]]:
    by_env = {setting.env: setting for setting in settings()}
    for name in sorted(environ):
        if name in by_env:
            if environ[name]:
                yield by_env[name], environ[name]
        elif _looks_like_config(name):
            raise _unknown(name, "unknown environment variable", by_env)


def _looks_like_config(name: str) -> bool:
    """Return whether a variable is an old or misspelt setting, not one such as EXPERTRAG_CACHE."""
    if not name.startswith(ENV_PREFIX) or name == CONFIG_ENV:
        return False
    if successor_of(name):
        return True
    sections = tuple(f"{ENV_PREFIX}{setting.section.upper()}_" for setting in settings())
    # Variables of flags resemble the ones that are not named after a key, and are not mistakes.
    named = [setting.env for setting in settings() if not setting.has_own_variable]
    rest = [candidate.removeprefix(ENV_PREFIX) for candidate in named]
    near = difflib.get_close_matches(name.removeprefix(ENV_PREFIX), rest, n=1, cutoff=0.8)
    return name.startswith(tuple(s for s in sections if s != f"{ENV_PREFIX}_")) or bool(near)


def _unknown(name: str, what: str, known: Iterable[str]) -> InvalidArgument:
    if successor := successor_of(name):
        return invalid(name, f"{what}; it is now {successor}")
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "docs/reference/config.md lists the settings"
    return invalid(name, f"{what}; {hint}")


def _parse(setting: Setting, text: str) -> object:
    """Parse a value from the environment; an invalid one is returned as is, for validation."""
    if setting.kind is bool:
        word = text.strip().lower()
        return word in _TRUE if word in _TRUE | _FALSE else text
    if setting.kind is str:
        return text
    try:
        return setting.kind(text)
    except ValueError:
        return text


def _build(values: Mapping[str, object], origins: Mapping[str, str]) -> Config:
    parts: dict[str, Any] = {}
    try:
        for item in fields(Config):
            if "help" in item.metadata:
                if item.name in values:
                    parts[item.name] = values[item.name]
                continue
            section: Any = item.default_factory
            parts[item.name] = section(
                **{
                    inner.name: values[f"{item.name}.{inner.name}"]
                    for inner in fields(section)
                    if f"{item.name}.{inner.name}" in values
                }
            )
        return Config(**parts)
    except InvalidArgument as error:
        key = error.metadata["field"]
        source = origins.get(key, "default")
        message = f"{error.message} (from {source})"
        raise InvalidArgument(message, reason=error.reason, metadata=error.metadata) from None
