"""A web page as a source of one document or, if it is a file of records, of several."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from expertrag_index.loaders.base import SourceFile, Unreadable
from expertrag_index.loaders.limits import ReadLimits
from expertrag_index.loaders.parse import failure_of
from expertrag_index.sources.base import SourceItem, SourceItems
from expertrag_index.sources.content_types import suffix_for, with_encoding
from expertrag_index.sources.download import HttpPolicy, Response, check_url, fetch
from expertrag_index.sources.redact import redact
from expertrag_index.sources.scratch import Scratch

_GONE = (404, 410)
_VALIDATORS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
_GONE_BEFORE = "gone"


class PageSource:
    """A page, which is asked for only if it has changed.

    A page that is gone (404, 410) is given up when it is gone in two runs in a row. One that cannot
    be had for another reason keeps its documents.
    """

    def __init__(
        self, url: str, limits: ReadLimits, policy: HttpPolicy, scratch: Scratch, domain: str | None
    ) -> None:
        """Name a page.

        :param scratch: where its body is put for the loaders.
        :raises Unreadable: the URL is not one of HTTP.
        """
        check_url(url)
        self._url = url
        self._policy = policy
        self._scratch = scratch
        self._domain = domain
        self.limits = limits
        self.key = redact(url)

    def covers(self, source: str) -> bool:
        """Return whether a source is this page."""
        return source == self.key

    def listing(self, known: Mapping[str, str]) -> SourceItems:
        """Ask for the page, with the validators of the version before."""
        result = SourceItems()
        before = known.get(self.key, "")
        try:
            response = self._ask(_conditions(before))
            if response.status in _GONE and before == _GONE_BEFORE:
                return result
            if response.status == 304 and before:
                result.items[self.key] = SourceItem(self.key, before, self._fetch_again)
                return result
            file = self._file(response)
        except Unreadable as error:
            result.failures.append(failure_of(self.key, error))
            if isinstance(error, _GoneError) and self.key in known:
                result.marks[self.key] = _GONE_BEFORE
            return result
        result.items[self.key] = SourceItem(self.key, _version(response), lambda: file)
        return result

    def _ask(self, conditions: Mapping[str, str]) -> Response:
        return fetch(self._url, conditions, self._policy, self.limits.max_file_bytes)

    def _check(self, response: Response) -> None:
        if response.status in _GONE:
            cure = "the next run deletes its documents if it is still gone"
            raise _GoneError(f"the server answers {response.status}", cure)
        if response.status != 200:
            cure = "its version from before is kept; try again later"
            raise Unreadable(f"the server answers {response.status}", cure)

    def _fetch_again(self) -> SourceFile:
        """Fetch an unchanged page that the store has lost meanwhile."""
        return self._file(self._ask({}))

    def _file(self, response: Response) -> SourceFile:
        self._check(response)
        content_type = response.headers.get("content-type", "")
        suffix = suffix_for(content_type, self._url)
        path = self._scratch.put(with_encoding(response.body, content_type), suffix)
        limits = self.limits
        return SourceFile(path, self.key, self.key, self._domain, limits.max_file_bytes, limits.ocr)


class _GoneError(Unreadable):
    """The server says that there is no such page."""


def _version(response: Response) -> str:
    """Return the validators of a page, and a hash of its content."""
    validators = {name: response.headers.get(name, "") for name in _VALIDATORS}
    sha256 = hashlib.sha256(response.body).hexdigest()
    return json.dumps({**validators, "sha256": sha256}, sort_keys=True)


def _conditions(version: str) -> dict[str, str]:
    """Return the headers that ask for a page only if it is of another version."""
    if not version or version == _GONE_BEFORE:
        return {}
    validators = json.loads(version)
    return {header: validators[name] for name, header in _VALIDATORS.items() if validators[name]}
