"""Haystack: OpenAIChatGenerator, whole and streamed, and the embedders."""

import os
import sys

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
from haystack import Document
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret

url, question = sys.argv[1:]
key = Secret.from_token("none")
messages = [ChatMessage.from_system("Be brief."), ChatMessage.from_user(question)]
options = {"api_key": key, "api_base_url": f"{url}/v1", "model": "default:always"}

(whole,) = OpenAIChatGenerator(**options, generation_kwargs={"max_tokens": 40}).run(messages)[
    "replies"
]
assert whole.text.strip()
pieces = []
streaming = OpenAIChatGenerator(
    **options,
    generation_kwargs={"max_tokens": 40},
    streaming_callback=lambda chunk: pieces.append(chunk.content),
)
(streamed,) = streaming.run(messages)["replies"]
assert "".join(pieces) == streamed.text == whole.text, (pieces, streamed, whole)

embedding = {"api_key": key, "api_base_url": f"{url}/v1", "model": "default"}
assert len(OpenAITextEmbedder(**embedding).run("a rose")["embedding"]) == 384
(document,) = OpenAIDocumentEmbedder(**embedding).run([Document(content="a rose")])["documents"]
assert len(document.embedding) == 384
