"""Reads a list of sources from a YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.parse import urlsplit

import yaml

from expertrag_index.errors import SourceListError
from expertrag_index.loaders.base import Unreadable
from expertrag_index.loaders.limits import ReadLimits
from expertrag_index.sources.addresses import refuse_none
from expertrag_index.sources.base import DocumentSource
from expertrag_index.sources.download import HttpPolicy, redact_or_hide
from expertrag_index.sources.folder import FolderSource
from expertrag_index.sources.objects import ObjectSource
from expertrag_index.sources.page import PageSource
from expertrag_index.sources.scratch import Scratch

_KINDS = ("folder", "glob", "url")
_COMMON = ("labels", "labels_field")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "folder": ("folder", "include", "exclude", *_COMMON),
    "glob": ("glob", "exclude", *_COMMON),
    "url": ("url", "include", "exclude", "domain", *_COMMON),
}
_TOP = ("sources", "allow_private_addresses")
_MAGIC = re.compile(r"[*?[]")
_LISTS = ("include", "exclude", "labels")


@dataclass(frozen=True, slots=True)
class ListContext:
    """What a list of sources needs to know: its folder, the store, limits and HTTP's rules."""

    folder: Path
    store: Path
    limits: ReadLimits
    policy: HttpPolicy


def read_source_list(file: Path, context: ListContext, scratch: Scratch) -> list[DocumentSource]:
    """Read a list of sources.

    :param scratch: where the sources put what they fetch.
    :raises SourceListError: it is invalid; the message names the entry.
    :raises PatternError: a pattern in it is invalid.
    :raises OSError: the file cannot be read.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" (line {line + 1})"
        raise SourceListError(f"{file} is not valid YAML{where}: correct it") from None
    if not isinstance(content, dict) or not isinstance(content.get("sources"), list):
        raise SourceListError(f"{file} has no list 'sources': write 'sources:' and '- folder: …'")
    _refuse_others(content, _TOP, str(file))
    allowed = content.get("allow_private_addresses", False)
    if not isinstance(allowed, bool):
        raise SourceListError(f"{file}: allow_private_addresses must be true or false")
    if allowed:
        context = replace(context, policy=replace(context.policy, refuse=refuse_none))
    sources: dict[str, DocumentSource] = {}
    for number, entry in enumerate(content["sources"], 1):
        source = _source(entry, f"{file}: source {number}", context, scratch)
        if source.key in sources:
            raise SourceListError(f"{file}: source {number} is listed twice: {source.key}")
        sources[source.key] = source
    return list(sources.values())


def _source(entry: object, where: str, context: ListContext, scratch: Scratch) -> DocumentSource:
    kinds = [kind for kind in _KINDS if isinstance(entry, dict) and kind in entry]
    if not isinstance(entry, dict) or len(kinds) != 1:
        raise SourceListError(f"{where}: give it one of folder, glob and url")
    kind = kinds[0]
    _refuse_others(entry, _FIELDS[kind], where)
    options = {name: _strings(entry, name, where) for name in _LISTS}
    target = _string(entry, kind, where)
    limits = replace(
        context.limits,
        labels=(*context.limits.labels, *options["labels"]),
        labels_field=_string(entry, "labels_field", where) or context.limits.labels_field,
    )
    include, exclude = options["include"], options["exclude"]
    if kind == "glob":
        target, pattern = _split_glob(target, where)
        include = [pattern]
    if kind != "url":
        folder = context.folder / Path(target).expanduser()
        return FolderSource(folder, limits, include=include, exclude=exclude, store=context.store)
    domain = _string(entry, "domain", where) or None
    try:
        if urlsplit(target).scheme in ("http", "https"):
            if include or exclude:
                raise SourceListError(f"{where}: a page takes neither include nor exclude")
            return PageSource(target, limits, context.policy, scratch, domain)
        if not urlsplit(target).scheme:
            raise Unreadable("it is not a URL", "write https://… or s3://…, or use 'folder:'")
        return ObjectSource(
            target, limits, scratch, include=include, exclude=exclude, domain=domain
        )
    except (Unreadable, ValueError) as error:
        what = f"{error.reason}; {error.cure}" if isinstance(error, Unreadable) else "invalid URL"
        raise SourceListError(f"{where}: {redact_or_hide(target)}: {what}") from None


def _split_glob(pattern: str, where: str) -> tuple[str, str]:
    """Return the folder of a glob, and the rest as a pattern of ``.gitignore``."""
    parts = PurePosixPath(pattern).parts
    first = next((i for i, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
    if not parts or ".." in parts[first:]:
        raise SourceListError(f"{where}: write a glob as 'manuals/**/*.pdf'")
    folder = str(PurePosixPath(*parts[:first])) if first else "."
    return folder, "/" + "/".join(parts[first:])


def _refuse_others(entry: Mapping[object, object], known: Sequence[str], where: str) -> None:
    for name in entry:
        if name not in known:
            raise SourceListError(f"{where}: unknown field {name!r}: use {', '.join(known)}")


def _string(entry: Mapping[str, object], name: str, where: str) -> str:
    value = entry.get(name, "")
    if not isinstance(value, str) or (name in entry and not value.strip()):
        raise SourceListError(f"{where}: {name} must be a text")
    return value


def _strings(entry: Mapping[str, object], name: str, where: str) -> list[str]:
    value = entry.get(name, [])
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SourceListError(f"{where}: {name} must be a list of texts")
    return cast("list[str]", value)
