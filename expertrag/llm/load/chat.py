"""A conversation as the token ids of a prompt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from expertrag.api.errors import InvalidArgument
from expertrag.llm.base import Message
from expertrag.llm.constraints import Vocabulary
from expertrag.llm.load.loading import first_line


def continues(messages: Sequence[Message]) -> bool:
    """Whether the model is to continue a turn of its own, as in vLLM's and transformers' chats."""
    return bool(messages) and messages[-1].role == "assistant"


class ChatTokenizer:
    """A transformers tokenizer that renders chats; safe to use from several threads."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.values()
        control = {token.content for token in added if token.special}
        self._control = sorted(control | set(tokenizer.all_special_tokens))

    @property
    def has_template(self) -> bool:
        """Whether the model was made for chats; other models continue text."""
        return self._tokenizer.chat_template is not None

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of the prompt for the next turn, or for the rest of a begun turn.

        :raises InvalidArgument: if the model's chat template rejects the turns.
        """
        begun = ""
        if continues(messages):
            *messages, last = messages
            begun = self._plain(last.content)
        turns = [{"role": m.role, "content": self._plain(m.content)} for m in messages]
        if self._tokenizer.chat_template is None:  # a base model: it continues text
            text = "\n\n".join(turn["content"] for turn in turns) + "\n\n" + begun
            return list(self._tokenizer(text).input_ids)
        try:
            text = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
        except Exception as error:  # jinja raises whatever the template says
            raise InvalidArgument(
                f"messages: rejected by the model's chat template ({first_line(error)})"
            ) from error
        return list(self._tokenizer(text + begun, add_special_tokens=False).input_ids)

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a text that continues a prompt."""
        return list(self._tokenizer(self._plain(text), add_special_tokens=False).input_ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of generated tokens, without control tokens."""
        text: str = self._tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def vocabulary(self, end_tokens: Collection[int]) -> Vocabulary:
        """Return the vocabulary that constraints choose tokens from."""
        return Vocabulary(self._tokenizer, end_tokens)

    def _plain(self, content: str) -> str:
        """Break control tokens apart, so that a document cannot end its turn and begin another.

        Lone surrogates, which no tokenizer accepts, become "?".
        """
        content = content.encode("utf-8", "replace").decode("utf-8")
        for token in self._control:
            if token in content:
                content = content.replace(token, f"{token[0]} {token[1:]}")
        return content
