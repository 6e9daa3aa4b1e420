"""A model behind any OpenAI-compatible endpoint: vLLM, llama.cpp, transformers serve, ..."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Sampling
from expertrag.api.validation import invalid
from expertrag.llm.backends.background import Background, Running
from expertrag.llm.backends.openai_constraints import extra_body, response_format
from expertrag.llm.backends.openai_errors import API_KEY, translate
from expertrag.llm.backends.openai_session import OpenAISession
from expertrag.llm.base import Generator, Message, Session, ShouldStop, never_stop

_DEFAULT_CONTEXT_TOKENS = 4096  # if the server does not report one; the smallest still in use
_BYTES_PER_TOKEN = 3  # English has 4 to 5 and other languages 2 to 4: overestimates the tokens
_TOKENS_PER_MESSAGE = 8  # role and delimiters
_TOP_LOGPROBS = 20  # the most that OpenAI's API allows
_MAX_STOPS = 4  # likewise; the session applies all of them
_CONNECT_S, _READ_S = 5.0, 120.0

# Control tokens of common chat templates. Servers read them in a message too, so that a document
# could end its turn; broken apart as in ``ChatTokenizer``, which knows those of its model.
_CONTROL = re.compile(
    r"<(?=[|\uff5c][^<>|\uff5c\s]{1,64}[|\uff5c]>|/?s>|</?SYS>>|(?:start|end)_of_turn>|[be]os>)"
    r"|\[(?=/?INST\])"
)

# At DEBUG, these two log whole prompts, and documents with them.
for _name in ("openai", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class OpenAIGenerator(Generator):
    """A model on a server. Token counts are estimates, as the server's tokenizer is unknown."""

    def __init__(
        self, client: openai.AsyncOpenAI, background: Background, url: str, model: str
    ) -> None:
        self.name = model
        self.fingerprint = hashlib.sha256(f"{url}#{model}".encode()).hexdigest()[:16]
        self.context_tokens = _DEFAULT_CONTEXT_TOKENS
        self._client = client
        self._background = background
        self._where = urlsplit(url).netloc.rpartition("@")[2]  # without a password
        self._logprobs = True

    @classmethod
    def connect(cls, name: str, *, read_timeout_s: float = _READ_S) -> OpenAIGenerator:
        """Connect to the server of ``URL#MODEL`` and ask for the model's context length.

        The key comes from the environment variable ``EXPERTRAG_OPENAI_API_KEY``.

        :raises InvalidArgument: if the name is not of that form.
        :raises Unavailable: if there is no server.
        :raises Unauthenticated: if the server rejects the key.
        """
        url, _, model = name.partition("#")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or not model:
            raise InvalidArgument(
                "the model's name must be openai:URL#MODEL, "
                "for example openai:http://127.0.0.1:8000/v1#my-model"
            )
        client = openai.AsyncOpenAI(
            base_url=url,
            api_key=os.environ.get(API_KEY) or "none",
            timeout=openai.Timeout(read_timeout_s, connect=_CONNECT_S),
            max_retries=0,  # the caller has the deadline, so the caller retries
        )
        generator = cls(client, Background(), url, model)
        running = generator._background.run(generator._context_lengths)
        for context_tokens in running.items(never_stop):
            generator.context_tokens = context_tokens
        return generator

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Estimate the length of the prompt in tokens; rather too high than too low."""
        return sum(
            _TOKENS_PER_MESSAGE + -(-len(m.content.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)
            for m in messages
        )

    def begin(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        should_stop: ShouldStop = never_stop,
        domain: str | None = None,
        *,
        from_passages: bool = False,
        cache_salt: str = "",
    ) -> Session:
        """Open a session; the server itself checks the prompt's length."""
        turns = [_turn(message) for message in messages]

        def start() -> Running[ChatCompletionChunk]:
            return self._background.run(lambda: self._chunks(turns, sampling))

        estimate = self.count_tokens(messages)
        return OpenAISession(start, self._where, estimate, sampling, should_stop)

    async def _chunks(
        self, turns: list[ChatCompletionMessageParam], sampling: Sampling
    ) -> AsyncIterator[ChatCompletionChunk]:
        try:
            stream = await self._open(turns, sampling)
            async with stream:
                self.problem = ""
                async for chunk in stream:
                    yield chunk
        except Exception as error:
            found = translate(error, self._where)
            if not isinstance(found, InvalidArgument):  # the caller's fault
                self.problem = found.message
            raise found from None  # the cause may hold the key

    async def _open(
        self, turns: list[ChatCompletionMessageParam], sampling: Sampling
    ) -> openai.AsyncStream[ChatCompletionChunk]:
        """Send the request; if the server rejects log probabilities, send it again without.

        :raises InvalidArgument: the caller requested log probabilities.
        """
        while True:
            wanted = self._logprobs
            if sampling.logprobs is not None and not wanted:
                raise invalid("logprobs", f"the model server {self._where} has none; unset it")
            try:
                return await self._client.chat.completions.create(
                    model=self.name,
                    messages=turns,
                    max_tokens=sampling.max_tokens,
                    temperature=sampling.temperature,
                    seed=sampling.seed,
                    frequency_penalty=(
                        openai.omit
                        if sampling.frequency_penalty is None
                        else sampling.frequency_penalty
                    ),
                    stop=list(sampling.stop[:_MAX_STOPS]) or openai.omit,
                    logprobs=True if wanted else openai.omit,
                    top_logprobs=_TOP_LOGPROBS if wanted else openai.omit,
                    stream=True,
                    stream_options={"include_usage": True},
                    response_format=response_format(sampling.constraint) or openai.omit,
                    extra_body=extra_body(sampling.constraint),
                )
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if not wanted or "logprob" not in str(error):
                    raise
                self._logprobs = False

    async def _context_lengths(self) -> AsyncIterator[int]:
        """Yield the model's context length if the server reports it (vLLM: max_model_len)."""
        try:
            listing = await self._client.models.list()
        except openai.NotFoundError:
            return
        except Exception as error:
            raise translate(error, self._where) from None
        for entry in listing.data:
            length = (entry.model_extra or {}).get("max_model_len")
            if entry.id == self.name and isinstance(length, int):
                yield length


def _turn(message: Message) -> ChatCompletionMessageParam:
    content = message.content.encode("utf-8", "replace").decode()  # JSON has no lone surrogates
    content = _CONTROL.sub(r"\g<0> ", content)
    if message.role == "system":
        return {"role": "system", "content": content}
    if message.role == "user":
        return {"role": "user", "content": content}
    return {"role": "assistant", "content": content}
