"""Write the tokenizer of a GGUF file: byte-level BPE that llama.cpp splits in the same way."""

from __future__ import annotations

import json
from typing import Any

import gguf

from expertrag.api.errors import InvalidArgument

_SPLITS = {  # llama.cpp's names, by the steps before BPE
    ("ByteLevel",): "gpt-2",
    ("Digits", "ByteLevel"): "smollm",
}
_SPECIAL = ("bos", "eos", "pad", "unk")


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Any, vocab_size: int) -> None:
    """Add vocabulary, merges, special tokens and chat template.

    :param vocab_size: of the model, which may have more rows than the tokenizer has tokens.
    :raises InvalidArgument: llama.cpp would split text differently than the tokenizer does.
    """
    known: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    split = _split(known)
    words = {number: word for word, number in known["model"]["vocab"].items()}
    added = {token["id"]: token for token in known["added_tokens"]}
    words |= {number: token["content"] for number, token in added.items()}
    tokens, kinds = [], []
    for number in range(vocab_size):
        tokens.append(words.get(number, f"[PAD{number}]"))
        kinds.append(_kind(added.get(number), number in words))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in known["model"]["merges"]])
    for name in _SPECIAL:
        number = getattr(tokenizer, f"{name}_token_id")
        if number is not None:
            getattr(writer, f"add_{name}_token_id")(number)
    begun = tokenizer("a").input_ids[0] == tokenizer.bos_token_id
    writer.add_add_bos_token(begun)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _split(known: dict[str, Any]) -> str:
    before = known["pre_tokenizer"] or {"type": "none"}
    steps = before.get("pretokenizers", [before])
    split = _SPLITS.get(tuple(step["type"] for step in steps))
    if (
        known["model"]["type"] != "BPE"
        or known["normalizer"]
        or split is None
        or not all(step.get("individual_digits", True) for step in steps)
        or not steps[-1]["use_regex"]
        or steps[-1]["add_prefix_space"]
    ):
        raise InvalidArgument(
            "this model's tokenizer cannot be written into a GGUF file: only byte-level BPE as in "
            "GPT-2 and SmolLM can; name a folder to write instead"
        )
    return split


def _kind(added: dict[str, Any] | None, used: bool) -> gguf.TokenType:
    if added is not None:
        return gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    return gguf.TokenType.NORMAL if used else gguf.TokenType.UNUSED
