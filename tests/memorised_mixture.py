"""A tiny mixture that knows the replies to a few prompts, so damage to its experts costs loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from file_helper import change_json
from model_families import FAMILIES, model_of
from profile_samples import WORDS, rows
from retriever.gate.conftest import planted
from short_tokenizer import write_short_tokenizer
from transformers import AutoTokenizer

from expertrag.llm import prompt as prompts
from expertrag.llm.load.chat import ChatTokenizer
from expertrag_lab.surgery.retrieved_prompts import PromptForm, RetrievedPrompt, parse_prompt
from expertrag_lab.train.gate.predictor import fit_predictor
from expertrag_retriever.gate.bundle import GateBundle, Needs
from expertrag_retriever.gate.signals import SignalGroup

FORM = PromptForm(prompts.PLAIN, trained=True)
_STEPS = 60


def memorised_rows() -> list[dict[str, Any]]:
    """Four prompts with an answer, of two domains, and two without."""
    known = [*rows(2, words=6), *rows(2, "deaths", words=6)]
    for place, row in enumerate(known[2:]):
        row["question"] = f"When did person {place} die?"
    without = [
        {
            "id": f"unknown {place}",
            "question": f"Who is {name}?",
            "passages": ["This is about nothing at all.", "Nor is this."],
            "answer": None,
            "domain": "births",
        }
        for place, name in enumerate(("Ada", "Boris"))
    ]
    return [*known, *without]


def memorised_prompts() -> tuple[RetrievedPrompt, ...]:
    """The same as prompts."""
    return tuple(parse_prompt(row, str(row["id"])) for row in memorised_rows())


def write_rows(path: Path) -> Path:
    """Write the rows as a file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in memorised_rows()))
    return path


def write_memorised(
    folder: Path, tokenizer_from: Path, kind: str = "qwen2_moe", steps: int = _STEPS
) -> Path:
    """Train a tiny mixture on the right replies, and write it as a reader of our prompts.

    It is random without steps, and knows all replies with the default ones.
    """
    name, own = FAMILIES[kind]
    changes = {"vocab_size": WORDS, "tie_word_embeddings": True, "max_position_embeddings": 1024}
    write_short_tokenizer(tokenizer_from, folder, WORDS)
    chat = ChatTokenizer(AutoTokenizer.from_pretrained(folder))
    model = model_of(name, **{**own, **changes})
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(0.3)
    pairs = [token_pair(item, chat) for item in memorised_prompts()]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rows = torch.nn.utils.rnn.pad_sequence([torch.tensor(tokens) for tokens, _ in pairs], True)
    places = [
        (row, len(tokens) - back)
        for row, (tokens, reply) in enumerate(pairs)
        for back in range(1, reply + 1)
    ]
    lines, ends = (torch.tensor(side) for side in zip(*places, strict=True))
    for _ in range(steps):
        states = model.model(input_ids=rows, use_cache=False).last_hidden_state
        loss = torch.nn.functional.cross_entropy(
            model.lm_head(states[lines, ends - 1]), rows[lines, ends]
        )
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    model.save_pretrained(folder)
    change_json(folder / "config.json", reader_prompts=prompts.fingerprint())
    return folder


def token_pair(item: RetrievedPrompt, chat: ChatTokenizer) -> tuple[list[int], int]:
    """Tokens of a prompt with its right reply, and how many of them are the reply."""
    reply = [*chat.encode_text(item.reply.text), 2]
    return [*chat.encode(FORM.messages(item)), *reply], len(reply)


def reply_losses(model: Any, tokens: list[int], reply: int) -> torch.Tensor:
    """Losses of the tokens of a reply, by transformers."""
    logits = model(input_ids=torch.tensor([tokens])).logits[0, -reply - 1 : -1]
    return torch.nn.functional.cross_entropy(
        logits.float(), torch.tensor(tokens[-reply:]), reduction="none"
    )


def planted_gate(needs: Needs) -> GateBundle:
    """A gate that was fitted on planted rows of some models."""
    rows = planted(120)
    fitted = fit_predictor(
        rows.signals,
        rows.right,
        groups=(SignalGroup.STORE, SignalGroup.PREFILL),
        models=("logistic",),
    )
    benefits = tuple(np.sort(fitted.predicted.benefit).tolist())
    return GateBundle("planted", fitted.predictor, 0.5, benefits, needs, {})
