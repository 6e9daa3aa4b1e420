"""Answer a request, in the form of the API that it was sent to."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from expertrag.api.citing import document_url
from expertrag.api.events import AnswerEvent
from expertrag.api.folding import afold
from expertrag.api.types import Answer, Citation
from expertrag.serving.http.errors import Params
from expertrag.serving.http.hangup import unless_hung_up
from expertrag.serving.http.openai.citations import Cited, append_table, cite
from expertrag.serving.http.openai.extension import extension_of
from expertrag.serving.http.openai.model_names import NamedModel, naming_models
from expertrag.serving.http.openai.options import Sampled
from expertrag.serving.http.sse import stream_of
from expertrag.serving.http.state import HttpState

S = TypeVar("S", bound=Sampled)


class Form(ABC):
    """The form of one response."""

    params: ClassVar[Params] = {}
    """Names of our fields in the request."""
    error_name: ClassVar[str] = ""
    """Name of the event of an error in mid-stream."""

    def __init__(self, asked: Sampled, notices: Sequence[str], base_url: str) -> None:
        """Make the form of the response to ``asked``.

        :param notices: what of the request is ignored.
        :param base_url: address by which the caller has reached the server.
        """
        self._notices = notices
        self._model = asked.model
        self._base_url = base_url
        self._collection = NamedModel.of(asked.model).collection
        self._markers = asked.form is None or asked.form.type == "text"
        self._created = int(time.time())

    @abstractmethod
    def whole(self, answer: Answer) -> dict[str, Any]:
        """Return a whole response."""

    @abstractmethod
    def events(self, events: AsyncGenerator[AnswerEvent]) -> AsyncGenerator[str]:
        """Yield the events of a stream."""

    def _extension(self, answer: Answer) -> dict[str, Any]:
        return extension_of(answer, self._notices)

    def _cite(self, answer: Answer) -> Cited:
        cited = cite(answer, self._url, markers=self._markers)
        return append_table(cited, answer) if self._markers else cited

    def _url(self, citation: Citation) -> str:
        span = citation.start, citation.end
        return document_url(self._base_url, citation.document_id, self._collection, span)


async def respond(
    request: Request, asked: S, form_of: Callable[[S, Sequence[str], str], Form]
) -> Response:
    """Answer a request, whole or as a stream."""
    question = asked.question()
    shared = HttpState.of(request)
    client = shared.client(request, NamedModel.of(asked.model).collection)
    form = form_of(asked, question.notices, shared.base_url(request))
    answering = client.stream(question.text, timeout=shared.answer_s, **question.options)
    events = naming_models(answering, asked.model, client)
    if asked.stream:
        request_id = request.state.request_id
        opened = stream_of(form.events(events), request_id, form.params, form.error_name)
        return await unless_hung_up(request, opened)
    return JSONResponse(form.whole(await unless_hung_up(request, _fold(events))))


async def _fold(events: AsyncGenerator[AnswerEvent]) -> Answer:
    async with aclosing(events):
        return await afold(events)
