"""A model behind OpenAI-compatible endpoints: vLLM, llama.cpp, transformers serve, ..."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import re
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import starmap
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from expertrag.api.errors import ExpertRAGError, InvalidArgument, Overloaded
from expertrag.api.types import Sampling
from expertrag.llm.backends.background import Background, Running
from expertrag.llm.backends.endpoints import (
    PROBE_EVERY_S,
    PROBE_TIMEOUT_S,
    Endpoint,
    Endpoints,
    ServedModels,
    place_of,
)
from expertrag.llm.backends.openai_constraints import extra_body, response_format
from expertrag.llm.backends.openai_errors import API_KEY, translate
from expertrag.llm.backends.openai_parameters import RequestParameters
from expertrag.llm.backends.openai_session import OpenAISession
from expertrag.llm.backends.routing import refuse_on_a_server
from expertrag.llm.base import (
    EndpointStatus,
    Generator,
    Message,
    Session,
    ShouldStop,
    never_stop,
)
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_common.api_keys import ApiKeyError, read_api_key
from expertrag_common.token_estimate import estimate_tokens

_DEFAULT_CONTEXT_TOKENS = 4096  # if the server does not report one; the smallest still in use
_TOKENS_PER_MESSAGE = 8  # role and delimiters
_TOKENS_OF_TEMPLATE = 32  # some add a system message where there is none
_CONNECT_S, _READ_S = 5.0, 120.0

_log = logging.getLogger(__name__)

# Control tokens of common chat templates. Servers read them in a message too, so that a document
# could end its turn; broken apart as in ``ChatTokenizer``, which knows its model's own.
_CONTROL = re.compile(
    r"<(?=[|\uff5c][^<>|\uff5c\s]{1,64}[|\uff5c]>|/?s>|</?SYS>>|(?:start|end)_of_turn>|[be]os>)"
    r"|\[(?=/?INST\])"
)

# At DEBUG, they log whole prompts, and documents with them; at INFO, a line for each probe. Which
# of the HTTP packages is used depends on openai's version.
for _name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class OpenAIGenerator(Generator):
    """A model on one or several servers. Token counts are estimates: the tokenizer is unknown."""

    def __init__(
        self, clients: Mapping[str, openai.AsyncOpenAI], background: Background, model: str
    ) -> None:
        """Take a client for each URL."""
        self.name = model
        # of the first: what was fitted on the model stays valid with more servers of it
        first = next(iter(clients))
        self.fingerprint = hashlib.sha256(f"{first}#{model}".encode()).hexdigest()[:16]
        self.context_tokens = _DEFAULT_CONTEXT_TOKENS
        self._reported = math.inf
        self._background = background
        self._parameters = RequestParameters()
        self._problem = ""
        # What runs in the background does not keep a model alive that nobody uses any more.
        learn = weakref.WeakMethod(self._learn)
        self._endpoints = Endpoints(model, list(starmap(Endpoint, clients.items())), learn)
        self._release = weakref.finalize(self, background.end, self._endpoints.close)
        self._release.atexit = False  # the thread ends with the process

    @classmethod
    def connect(
        cls,
        name: str,
        *,
        read_timeout_s: float = _READ_S,
        connect_timeout_s: float = _CONNECT_S,
        probe_every_s: float = PROBE_EVERY_S,
    ) -> OpenAIGenerator:
        """Connect to the servers of ``URL[,URL...]#MODEL`` and ask what they serve.

        The key comes from the environment variable ``EXPERTRAG_OPENAI_API_KEY``, or from the file
        that ``EXPERTRAG_OPENAI_API_KEY_FILE`` names.

        :raises InvalidArgument: if the name is not of that form, the file cannot be read, or one of
            several servers serves another model.
        :raises Unavailable: if no server answers.
        :raises Unauthenticated: if the server rejects the key.
        """
        urls, model = parse(name)
        timeout = openai.Timeout(read_timeout_s, connect=connect_timeout_s)
        generator = cls({url: _client(url, timeout) for url in urls}, Background(), model)
        try:
            generator._background.start(generator._endpoints.start()).result()
        except BaseException:
            generator.close()
            raise
        if len(urls) > 1:
            generator._background.start(generator._endpoints.watch(probe_every_s))
        return generator

    @property
    def problem(self) -> str:
        """See :attr:`Generator.problem`."""
        return self._problem

    def close(self) -> None:
        """Stop probing the servers, and close all connections; safe to call twice.

        An unused model that is not closed does the same when it is collected.
        """
        self._release()
        self._background.join()

    def endpoints(self) -> tuple[EndpointStatus, ...]:
        """See :meth:`Generator.endpoints`."""
        return self._endpoints.statuses

    def check(self, sampling: Sampling, should_stop: ShouldStop = never_stop) -> None:
        """Reject a constraint that llama.cpp's server would ignore, if one may get the request.

        :raises InvalidArgument: the constraint cannot be enforced, an adapter is named, or the
            request has a routing policy or a contrast, for which servers have no interface.
        """
        super().check(sampling, should_stop)
        refuse_on_a_server(sampling)
        extra_body(sampling.constraint, llama_cpp=self._endpoints.llama_cpp)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Estimate the length of the prompt in tokens; rather too high than too low.

        Too low for languages that the model's tokenizer does not know.
        """
        each = (_TOKENS_PER_MESSAGE + estimate_tokens(message.content) for message in messages)
        return _TOKENS_OF_TEMPLATE + sum(each)

    def begin(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        should_stop: ShouldStop = never_stop,
        policy: SequencePolicy | None = None,
        *,
        from_passages: bool = False,
        without_passages: Sequence[Message] | None = None,
    ) -> Session:
        """Open a session; the server itself checks the prompt's length."""
        turns = [_turn(message) for message in messages]

        def start() -> Running[ChatCompletionChunk]:
            return self._background.run(lambda: self._chunks(turns, sampling))

        return OpenAISession(start, self.count_tokens(messages), sampling, should_stop)

    async def _chunks(
        self, turns: list[ChatCompletionMessageParam], sampling: Sampling
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Stream an answer; if it fails before the first token, another server may answer.

        :raises ExpertRAGError: the answer failed, on the second server if a second was asked.
        """
        endpoint, retried = self._endpoints.pick(), False
        while True:
            begun = False
            try:
                async for chunk in self._from(endpoint, turns, sampling):
                    if not begun and _has_token(chunk):
                        begun, self._problem = True, ""
                        endpoint.record_success()
                    yield chunk
                return
            except Exception as error:
                failure = translate(error, endpoint.where)
                if not isinstance(failure, (InvalidArgument, Overloaded)):  # the server's fault
                    endpoint.record_failure(failure.message)
                other = None if begun or retried else self._endpoints.instead(endpoint, error)
                if other is None:
                    if not isinstance(failure, InvalidArgument):  # the caller's fault
                        self._problem = failure.message
                    raise failure from None  # the cause may hold the key
                _log.info("%s: asking %s instead", failure.message, other.where)
                endpoint, retried = other, True

    async def _from(
        self, endpoint: Endpoint, turns: list[ChatCompletionMessageParam], sampling: Sampling
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Stream the answer of one server.

        :raises EOFError: the stream ended before the answer did.
        """
        finished = False
        with endpoint.request():
            stream = await self._open(endpoint, turns, sampling)
            async with stream:
                async for chunk in stream:
                    finished |= any(choice.finish_reason for choice in chunk.choices or ())
                    yield chunk
        if not finished:
            raise EOFError

    async def _open(
        self, endpoint: Endpoint, turns: list[ChatCompletionMessageParam], sampling: Sampling
    ) -> openai.AsyncStream[ChatCompletionChunk]:
        """Send the request; if the server refuses a parameter, send it again without.

        :raises InvalidArgument: the caller set that parameter.
        """
        while True:
            parameters = self._parameters.of(sampling, endpoint.where)
            create = endpoint.client.chat.completions.create
            try:
                stream: openai.AsyncStream[ChatCompletionChunk] = await create(
                    model=self.name,
                    messages=turns,
                    stream=True,
                    stream_options={"include_usage": True},
                    response_format=response_format(sampling.constraint) or openai.omit,
                    extra_body=extra_body(sampling.constraint, llama_cpp=endpoint.llama_cpp),
                    **parameters,
                )
                return stream
            except openai.APIStatusError as error:
                if not self._parameters.learn(error, parameters, endpoint.where):
                    raise

    def _learn(self, listing: ServedModels) -> None:
        """Take over the context length that a server reports: of several, the shortest."""
        if listing.context_tokens is not None:
            self._reported = min(self._reported, listing.context_tokens)
            self.context_tokens = int(self._reported)


def survey(name: str) -> dict[str, ServedModels | ExpertRAGError]:
    """Ask each server of a name what it serves, by host and port; errors are values.

    :raises InvalidArgument: if the name is not of the form of :meth:`OpenAIGenerator.connect`.
    """
    urls, model = parse(name)

    async def ask() -> dict[str, ServedModels | ExpertRAGError]:
        timeout = openai.Timeout(PROBE_TIMEOUT_S)
        all_of_them = [Endpoint(url, _client(url, timeout)) for url in urls]
        endpoints = Endpoints(model, all_of_them, lambda: None)
        listings = await endpoints.listings(PROBE_TIMEOUT_S)
        await endpoints.close()
        return {endpoint.where: said for endpoint, said in listings.items()}

    return asyncio.run(ask())


def _client(url: str, timeout: openai.Timeout) -> openai.AsyncOpenAI:
    """Return a client that does not retry: the caller has the deadline, so the caller retries."""
    try:
        key = read_api_key(API_KEY)
    except ApiKeyError as error:
        raise InvalidArgument(str(error)) from None
    return openai.AsyncOpenAI(base_url=url, api_key=key or "none", timeout=timeout, max_retries=0)


def parse(name: str) -> tuple[list[str], str]:
    """Return the URLs and the model of ``URL[,URL...]#MODEL``.

    :raises InvalidArgument: the name is not of that form, or names a server twice.
    """
    joined, _, model = name.partition("#")
    urls = [url.strip() for url in joined.split(",")]
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or not model:
            raise InvalidArgument(
                "the model's name must be openai:URL#MODEL, or openai:URL,URL#MODEL for several "
                "servers of the same model, for example openai:http://127.0.0.1:8000/v1#my-model"
            )
    if len(set(map(place_of, urls))) < len(urls):
        raise InvalidArgument("the model's name has the same server twice; name each once")
    return urls, model


def _has_token(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk is part of the answer; the first one may hold the role alone."""
    return any(
        choice.delta.content or choice.logprobs or choice.finish_reason
        for choice in chunk.choices or ()
    )


def _turn(message: Message) -> ChatCompletionMessageParam:
    content = message.content.encode("utf-8", "replace").decode()  # JSON has no lone surrogates
    content = _CONTROL.sub(r"\g<0> ", content)
    if message.role == "system":
        return {"role": "system", "content": content}
    if message.role == "user":
        return {"role": "user", "content": content}
    return {"role": "assistant", "content": content}
