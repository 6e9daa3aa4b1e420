"""LlamaIndex: OpenAILike chat, stream and embeddings."""

import sys

from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

url, question = sys.argv[1:]
llm = OpenAILike(
    model="default:always",
    api_base=f"{url}/v1",
    api_key="none",
    is_chat_model=True,
    is_function_calling_model=False,
    context_window=8_192,
    max_tokens=40,
)
messages = [ChatMessage("Be brief.", role="system"), ChatMessage(question, role="user")]
whole = llm.chat(messages)
assert whole.message.content.strip()
*_, last = llm.stream_chat(messages)
assert last.message.content == whole.message.content, (last, whole)
assert llm.complete(question).text.strip()

embedder = OpenAILikeEmbedding(model_name="default", api_base=f"{url}/v1", api_key="none")
assert len(embedder.get_text_embedding("a rose")) == 384
assert len(embedder.get_query_embedding("a rose")) == 384
assert [len(item) for item in embedder.get_text_embedding_batch(["a", "b"])] == [384, 384]
