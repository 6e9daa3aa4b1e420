"""Default requests of chat front ends and agents, written from their code or from what they sent.

Each has the name of its source with its version. Ids, prompts and schemas are shortened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
QUESTION = "When are roses pruned?"
_SYSTEM = {"role": "system", "content": "Be brief."}
_USER = {"role": "user", "content": QUESTION}
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_FUNCTION = {"name": "weather", "description": "Weather of a city.", "parameters": _SCHEMA}
_TOOL = {"type": "function", "function": _FUNCTION}
_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
_IMAGE: dict[str, Any] = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64,AAAA"},
}


@dataclass(frozen=True)
class Sent:
    """A request, and the parameters that a notice is about."""

    source: str
    path: str
    body: dict[str, Any]
    noticed: set[str] = field(default_factory=set)


SENT = [
    Sent(
        "open-webui 0.12.4, a question with its built-in tools",
        CHAT,
        {
            "stream": True,
            "messages": [_SYSTEM, _USER],
            "tools": [_TOOL],
            "stream_options": {"include_usage": True},
        },
        {"tools"},
    ),
    Sent(
        "open-webui 0.12.4, advanced parameters (utils/payload.py)",
        CHAT,
        {
            "stream": True,
            "messages": [_USER],
            "temperature": 0.8,
            "top_p": 0.9,
            "min_p": 0.05,
            "max_tokens": 128,
            "frequency_penalty": 1.1,
            "presence_penalty": 0.0,
            "reasoning_effort": "medium",
            "seed": 0,
            "stop": ["</s>"],
        },
        {"min_p", "reasoning_effort"},
    ),
    Sent(
        "open-webui 0.12.4, the title of a chat (routers/tasks.py)",
        CHAT,
        {"stream": False, "messages": [_USER], "max_completion_tokens": 1_000},
    ),
    Sent(
        "open-webui 0.12.4, an image beside the question",
        CHAT,
        {
            "stream": True,
            "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}, _IMAGE]}],
        },
        {"messages"},
    ),
    Sent(
        "LibreChat, parameters of a preset (endpoints/openai/llm.ts, over @langchain/openai 1.6.0)",
        CHAT,
        {
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 1,
            "top_p": 1,
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "user": "66f0c1d2e3",
            "messages": [_SYSTEM, _USER],
        },
        {"user"},
    ),
    Sent(
        "LibreChat, an agent after a tool call of another model (over @langchain/openai 1.6.0)",
        CHAT,
        {
            "stream": True,
            "stream_options": {"include_usage": True},
            "tools": [_TOOL],
            "parallel_tool_calls": False,
            "messages": [
                {"role": "user", "content": "What is the weather in Oslo?"},
                {"role": "assistant", "content": "", "tool_calls": [_CALL]},
                {"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": "sun"},
                {"role": "assistant", "content": "It is sunny."},
                _USER,
            ],
        },
        {"tools", "messages"},
    ),
    Sent(
        "LobeChat 013f7307, defaults of an agent (model-runtime, openaiCompatibleFactory)",
        CHAT,
        {
            "frequency_penalty": 0,
            "presence_penalty": 0,
            "temperature": 1,
            "top_p": 1,
            "stream": True,
            "messages": [_SYSTEM, _USER],
            "tools": [_TOOL],
            "user": "user_2x",
            "stream_options": {"include_usage": True},
        },
        {"tools", "user"},
    ),
    Sent(
        "Continue 0228b897, a chat with a picture in agent mode (core/llm/openaiTypeConverters.ts)",
        CHAT,
        {
            "messages": [
                _SYSTEM,
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": QUESTION},
                        {
                            "type": "image_url",
                            "image_url": {**_IMAGE["image_url"], "detail": "auto"},
                        },
                    ],
                },
            ],
            "max_tokens": 128,
            "stream": True,
            "tools": [{"type": "function", "function": {**_FUNCTION, "strict": False}}],
            "parallel_tool_calls": False,
        },
        {"tools", "messages"},
    ),
    Sent(
        "Cline 0162b828, a task for an OpenAI-compatible server (core/api/providers/openai.ts)",
        CHAT,
        {
            "messages": [
                _SYSTEM,
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": f"<task>\n{QUESTION}\n</task>"},
                        {"type": "text", "text": "<environment_details>\n</environment_details>"},
                    ],
                },
            ],
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "tools": [_TOOL],
        },
        {"tools"},
    ),
    Sent(
        "langchain-openai 1.7.4, bind_tools",
        CHAT,
        {"stream": False, "messages": [_SYSTEM, _USER], "tools": [_TOOL]},
        {"tools"},
    ),
    Sent(
        "langchain-openai 1.7.4, bind_tools over responses",
        RESPONSES,
        {
            "stream": False,
            "input": [{**_USER, "type": "message"}],
            "tools": [{"type": "function", **_FUNCTION}],
        },
        {"tools"},
    ),
    Sent(
        "@langchain/openai 1.6.0 in @langchain/langgraph 1.7.3, createReactAgent",
        CHAT,
        {
            "stream": True,
            "tools": [_TOOL],
            "stream_options": {"include_usage": True},
            "messages": [_USER],
        },
        {"tools"},
    ),
    Sent(
        "@ai-sdk/openai-compatible 2.0.92 in ai 6.0.326, streamText with tools",
        CHAT,
        {"messages": [_SYSTEM, _USER], "tools": [_TOOL], "tool_choice": "auto", "stream": True},
        {"tools"},
    ),
    Sent(
        "@ai-sdk/openai 3.0.141 in ai 6.0.326, chat with topP",
        CHAT,
        {
            "temperature": 0.7,
            "top_p": 0.9,
            "messages": [_SYSTEM, _USER],
            "tools": [_TOOL],
            "tool_choice": "auto",
        },
        {"tools"},
    ),
    Sent(
        "@ai-sdk/openai 3.0.141 in ai 6.0.326, responses, second turn",
        RESPONSES,
        {
            "input": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "item_reference", "id": "msg_1"},
                {"role": "user", "content": [{"type": "input_text", "text": QUESTION}]},
            ],
            "tools": [{"type": "function", **_FUNCTION}],
            "tool_choice": "auto",
            "stream": True,
        },
        {"tools", "input"},
    ),
    Sent(
        "openai 3.57.0 (Python), every neutral value of its documentation",
        CHAT,
        {
            "messages": [_USER],
            "n": 1,
            "top_p": 1.0,
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "logit_bias": {},
            "store": False,
            "metadata": {},
            "service_tier": "auto",
            "tool_choice": "none",
            "parallel_tool_calls": True,
            "modalities": ["text"],
            "response_format": {"type": "text"},
        },
    ),
    Sent(
        "openai 3.57.0 (Python), what evaluations and platforms add",
        CHAT,
        {
            "messages": [{"role": "developer", "content": "Be brief."}, _USER],
            "store": True,
            "metadata": {"run": "7"},
            "user": "ada",
            "safety_identifier": "a1",
            "service_tier": "flex",
            "prompt_cache_key": "k",
            "seed": 7,
        },
        {"store", "metadata", "user", "safety_identifier", "service_tier", "prompt_cache_key"},
    ),
    Sent(
        "openai 6.49.0 (JavaScript), responses of a reasoning model",
        RESPONSES,
        {
            "input": QUESTION,
            "instructions": "Be brief.",
            "reasoning": {"effort": "low"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
            "truncation": "disabled",
        },
        {"reasoning", "include", "truncation"},
    ),
    Sent(
        "openai 1.109.1, its command line (cli/_api/chat/completions.py)",
        CHAT,
        {
            "messages": [_USER],
            "n": None,
            "temperature": None,
            "top_p": None,
            "stop": None,
            "stream": False,
        },
    ),
]
