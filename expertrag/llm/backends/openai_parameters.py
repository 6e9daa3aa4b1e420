"""The parameters of a request to an OpenAI-compatible server, without those that it refuses.

Servers and models differ. OpenAI's reasoning models take no ``max_tokens``, no temperature and no
``stop``; others have no log probabilities. An error names the parameter, so the request is sent
again without it, and so are all later ones.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import openai

from expertrag.api.types import Sampling
from expertrag.api.validation import invalid

_TOP_LOGPROBS = 20  # the most that OpenAI's API allows
_MAX_STOPS = 4  # likewise; the session applies all of them
_LOGPROBS = "logprobs"
_NAMES = ("max_tokens", "temperature", "top_p", "seed", "frequency_penalty", "stop")
_REFUSES = re.compile(
    r"unsupported|not (?:support|allow|permit)|unrecognized|unknown (?:param|arg|field)", re.I
)
_STATUSES = (400, 403, 422)
"""OpenAI answers 403 if a model has no log probabilities."""

_log = logging.getLogger(__name__)


class RequestParameters:
    """Makes the parameters of requests, and learns from a server's errors what it refuses."""

    def __init__(self) -> None:
        self._refused: set[str] = set()

    def of(self, sampling: Sampling, where: str) -> dict[str, Any]:
        """Return the arguments of a request.

        :param where: the server, for messages.
        :raises InvalidArgument: the caller set a parameter that the server refuses.
        """
        wanted = _parameters(sampling)
        for name in self._refused & wanted.keys():
            del wanted[name]
            if _is_set(sampling, name):
                raise invalid(name, f"the model server {where} refuses it; unset it")
        if _LOGPROBS not in wanted:
            wanted.pop("top_logprobs", None)
        if "max_tokens" not in wanted:
            wanted["max_completion_tokens"] = sampling.max_tokens
        return wanted

    def learn(self, error: openai.APIStatusError, sent: Mapping[str, Any], where: str) -> bool:
        """Record the parameter that a server refuses, if the error names one.

        :param sent: parameters of the request that failed.
        :returns: whether the request can be sent again without it.
        """
        name = _find_refused(error)
        if name is None or name not in sent:
            return False
        if name not in self._refused:
            _log.info("the model server %s refuses %s; requests are sent without it", where, name)
            self._refused.add(name)
        return True


def _parameters(sampling: Sampling) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "seed": sampling.seed,
        _LOGPROBS: True,
        "top_logprobs": _TOP_LOGPROBS,
    }
    if sampling.top_p != 1:
        wanted["top_p"] = sampling.top_p
    if sampling.frequency_penalty is not None:
        wanted["frequency_penalty"] = sampling.frequency_penalty
    if sampling.stop:
        wanted["stop"] = list(sampling.stop[:_MAX_STOPS])
    return wanted


def _is_set(sampling: Sampling, name: str) -> bool:
    """Whether the caller set a parameter, and leaving it out would change the answer."""
    if name == _LOGPROBS:
        return sampling.logprobs is not None
    if name in ("max_tokens", "stop"):  # sent under another name; applied by the session
        return False
    return bool(getattr(sampling, name))


def _find_refused(error: openai.APIStatusError) -> str | None:
    if error.status_code not in _STATUSES:
        return None
    text = error.param or str(error)  # a message may repeat the prompt
    if "logprob" in text:
        return _LOGPROBS
    if not _REFUSES.search(str(error)):
        return None
    return next((name for name in _NAMES if re.search(rf"\b{name}\b", text)), None)
