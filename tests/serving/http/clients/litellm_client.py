"""LiteLLM: completion, stream, embedding, error."""

import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

url, question = sys.argv[1:]
litellm.suppress_debug_info = True
options = {"model": "openai/default:always", "api_base": f"{url}/v1", "api_key": "none"}
messages = [{"role": "user", "content": question}]

whole = litellm.completion(messages=messages, max_tokens=40, **options)
assert whole.choices[0].message.content.strip()
assert whole.usage.completion_tokens > 0
assert whole.choices[0].message.annotations is not None

chunks = list(litellm.completion(messages=messages, max_tokens=40, stream=True, **options))
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
assert text == whole.choices[0].message.content, (text, whole)
rebuilt = litellm.stream_chunk_builder(chunks, messages=messages)
assert rebuilt.choices[0].message.content == text

found = litellm.embedding(
    model="openai/default", input=["a rose", "a page"], api_base=f"{url}/v1", api_key="none"
)
assert [len(item["embedding"]) for item in found.data] == [384, 384]

tools = [{"type": "function", "function": {"name": "f"}}]
assert litellm.completion(messages=messages, tools=tools, **options).choices[0].message.content
