"""Requests to a model server: JSON over HTTP, with a key, time limits and retries."""

from __future__ import annotations

import logging
import math
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from expertrag_common.api_keys import ApiKeyError, read_api_key
from expertrag_retriever.errors import RemoteModelError, RemoteUnavailableError
from expertrag_retriever.remote.address import RemoteModel

_CONNECT_S = 3.0
_TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))
_FIRST_WAIT_S, _MAX_WAIT_S = 0.2, 10.0
_SHOWN = 200  # characters of a server's message

for _name in ("httpx", "httpcore"):  # at INFO they log every URL, at DEBUG every header
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer may take, in seconds, and how often it is asked for."""

    read_s: float
    attempts: int


QUERY = Patience(read_s=15.0, attempts=2)
BUILD = Patience(read_s=120.0, attempts=8)
"""For documents: a server that restarts for half a minute does not end a build."""


class ModelServer:
    """One server. Thread-safe. Its key stands in no message."""

    def __init__(self, model: RemoteModel, key_variable: str) -> None:
        """Prepare connections; nothing is sent.

        :param key_variable: environment variable of the key; see ``read_api_key``.
        :raises RemoteModelError: the file with the key cannot be read.
        """
        self.where = model.host
        self._key_variable = key_variable
        try:
            key = read_api_key(key_variable)
        except ApiKeyError as error:
            raise RemoteModelError(str(error)) from None
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=model.url, headers=headers, follow_redirects=False)
        weakref.finalize(self, self._client.close)

    def get(self, path: str) -> Any:
        """Return what the server says at a path; None if it has nothing there.

        :raises RemoteUnavailableError: no server answers.
        :raises RemoteModelError: the server rejects the key.
        """
        response = self._send("GET", path, None, QUERY)
        return None if response.status_code in (404, 405, 501) else self._body(response)

    def post(self, path: str, body: Mapping[str, object], patience: Patience) -> Any:
        """Return the answer to a request.

        :raises RemoteUnavailableError: no server answers, or not in time.
        :raises RemoteModelError: the server rejects the request, or its answer is not JSON.
        """
        return self._body(self._send("POST", path, body, patience))

    def _send(
        self, method: str, path: str, body: Mapping[str, object] | None, patience: Patience
    ) -> httpx.Response:
        """Send a request until it is answered, or until there was no answer often enough."""
        timeout = httpx.Timeout(patience.read_s, connect=_CONNECT_S)
        for attempt in range(1, patience.attempts + 1):
            wait_s = min(_MAX_WAIT_S, _FIRST_WAIT_S * 3 ** (attempt - 1))
            try:
                response = self._client.request(method, path, json=body, timeout=timeout)
            except httpx.HTTPError as error:
                failure: RemoteModelError = self._of_connection(error)
            else:
                if response.status_code not in _TRANSIENT:
                    return response
                failure = self._of_status(response)
                wait_s = max(wait_s, min(_MAX_WAIT_S, _retry_after(response)))
            if attempt < patience.attempts:
                time.sleep(wait_s)
        raise failure

    def _body(self, response: httpx.Response) -> Any:
        if not response.is_success:
            raise self._of_status(response)
        try:
            return response.json()
        except ValueError:
            raise self.invalid("its answer is not JSON") from None

    def invalid(self, why: str) -> RemoteModelError:
        """Return the error of an answer that cannot be used."""
        return RemoteModelError(
            f"the model server {self.where} sent an invalid answer: {why}; check its URL and API"
        )

    def _of_connection(self, error: httpx.HTTPError) -> RemoteUnavailableError:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return RemoteUnavailableError(
                f"no model server at {self.where}: start it, or correct the model's URL"
            )
        if isinstance(error, httpx.TimeoutException):
            return RemoteUnavailableError(f"the model server {self.where} did not answer in time")
        return RemoteUnavailableError(f"the model server {self.where} closed the connection")

    def _of_status(self, response: httpx.Response) -> RemoteModelError:
        status = response.status_code
        if status in (401, 403):
            return RemoteModelError(
                f"the model server {self.where} rejects the key ({status}): set "
                f"{self._key_variable}, or {self._key_variable}_FILE to a file with the key"
            )
        said = f"the model server {self.where} answered {status}: {_message(response)}"
        if status == 404:
            said += "; check the URL (the URL of OpenAI's API ends in /v1) and the model's name"
        return (RemoteUnavailableError if status in _TRANSIENT else RemoteModelError)(said)


def _message(response: httpx.Response) -> str:
    """Return the words of an error: of OpenAI's form, of TEI's, or of another."""
    try:
        body = response.json()
    except ValueError:
        return response.reason_phrase or "no message"
    fields = body if isinstance(body, dict) else {}
    error = fields.get("error") or fields.get("message") or fields.get("detail")
    words = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(words or response.reason_phrase).split())[:_SHOWN]


def _retry_after(response: httpx.Response) -> float:
    """Return the seconds that a server asks to wait; 0 if it gives none, or a date."""
    try:
        seconds = float(response.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0
