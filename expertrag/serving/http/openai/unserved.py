"""Parameters of OpenAI's API that an answer does not depend on: noticed, or refused.

A parameter that leaves the meaning of the answer alone is noticed: the request is answered, and
``expertrag.notices`` says what was ignored. One that would change the meaning is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from expertrag.api.errors import InvalidArgument

MOST_NOTICES = 20
_NOTHING: tuple[object, ...] = ("", [], {})


@dataclass(frozen=True, slots=True)
class Ignored:
    """A parameter that is noticed unless its value asks for nothing."""

    notice: str
    neutral: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A parameter that is refused unless its value asks for nothing."""

    why: str
    neutral: tuple[object, ...] = ()


Unserved = Mapping[str, Ignored | Refused]
"""What happens to a parameter, by its name."""

_NO_TOOLS = "tools are never called; the answer is text"
_NOT_KEPT = "nothing is stored under it"
_NO_CACHE = "prompts are cached without it"
_NO_REASONING = "the model does not reason in steps"

SAMPLED: Unserved = {
    "metadata": Ignored(_NOT_KEPT),
    "moderation": Refused("nothing is moderated; remove it, and moderate before and after"),
    "parallel_tool_calls": Ignored(_NO_TOOLS, (True,)),
    "prompt_cache_key": Ignored(_NO_CACHE),
    "prompt_cache_options": Ignored(_NO_CACHE),
    "prompt_cache_retention": Ignored(_NO_CACHE),
    "safety_identifier": Ignored(_NOT_KEPT),
    "service_tier": Ignored("there is one tier", ("auto", "default")),
    "store": Ignored("answers are not kept"),
    "tool_choice": Refused("tools are never called; send 'auto' or remove it", ("auto", "none")),
    "tools": Ignored(_NO_TOOLS),
    "user": Ignored("callers are known by their tokens"),
}
"""Parameters that chat completions and responses have in common."""

CHAT: Unserved = {
    **SAMPLED,
    "audio": Ignored("only text is generated"),
    "function_call": Refused(
        "functions are never called; send 'auto' or remove it", ("auto", "none")
    ),
    "functions": Ignored(_NO_TOOLS),
    "logit_bias": Refused(
        "is not supported: token ids are of another model; constrain the text with response_format"
    ),
    "modalities": Refused("only text is generated; send ['text']", (["text"],)),
    "n": Refused("only 1 is supported; send the request again for each further answer", (1,)),
    "prediction": Ignored("the answer is generated without it"),
    "presence_penalty": Ignored("repeated tokens are not penalised; use frequency_penalty", (0,)),
    "reasoning_effort": Ignored(_NO_REASONING, ("none",)),
    "verbosity": Ignored("the length follows max_tokens and the instructions"),
    "web_search_options": Ignored("only your documents are searched"),
}
"""Parameters of chat completions."""

RESPONSES: Unserved = {
    **SAMPLED,
    "access_programs": Ignored("there are none"),
    "background": Refused("is not supported; remove it, and wait for the response"),
    "background_options": Ignored("responses do not run in the background"),
    "context_management": Ignored("the oldest turns are left out of a long conversation"),
    "conversation": Refused("responses are not kept; send the whole conversation as input"),
    "image": Ignored("only text is read"),
    "include": Ignored("the output has no further parts"),
    "max_tool_calls": Ignored(_NO_TOOLS),
    "previous_response_id": Refused("responses are not kept; send the whole conversation as input"),
    "prompt": Refused("templates are not kept; send their text as instructions"),
    "reasoning": Ignored(_NO_REASONING),
    "stream_options": Ignored("events are not padded"),
    "top_logprobs": Ignored("responses have no log probabilities; use chat completions"),
    "truncation": Ignored("the oldest turns are left out of a long conversation", ("auto",)),
}
"""Parameters of responses."""

EMBEDDINGS: Unserved = {"user": SAMPLED["user"]}
"""Parameters of embeddings."""


def check_unserved(sent: Mapping[str, object], known: Unserved) -> tuple[str, ...]:
    """Return the notices about parameters that are not served.

    :param sent: their values; ``NAME: WHY`` is noticed of one whose value asks for something, and
        of one that is unknown.
    :raises InvalidArgument: one of them is refused.
    """
    notices = list(_notices(sent, known))
    if len(notices) > MOST_NOTICES:
        more = len(notices) - MOST_NOTICES
        notices[MOST_NOTICES:] = [f"{more:,} further parameters are unknown and ignored"]
    return tuple(notices)


def _notices(sent: Mapping[str, object], known: Unserved) -> Iterator[str]:
    for name, value in sent.items():
        match known.get(name):
            case None:
                yield f"{name:.40}: is unknown and ignored"
            case Ignored(notice, neutral) if _asks(value, neutral):
                yield f"{name}: is ignored; {notice}"
            case Refused(why, neutral):
                refuse(name, _asks(value, neutral), why)


def _asks(value: object, neutral: tuple[object, ...]) -> bool:
    """Whether a value asks for something."""
    nothing = value is None or value is False or value in _NOTHING
    return not nothing and value not in neutral


def refuse(field: str, sent: bool, why: str) -> None:
    """Reject a field that was sent.

    :raises InvalidArgument: if it was.
    """
    if sent:
        raise InvalidArgument(
            f"{field}: {why}", reason="UNSUPPORTED_FIELD", metadata={"field": field}
        )
