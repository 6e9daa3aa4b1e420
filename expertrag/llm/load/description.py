"""The description of a packed model in addition to its weights and tokenizer, for a fast start.

``program.json`` has the steps of the lowered model, its limits and its special tokens, so loading
imports no modelling code. Without the file, the steps are planned from transformers' modules, as
for a checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from expertrag.llm.base import Message, current_names
from expertrag.llm.engine.lowering import Lowered
from expertrag.llm.engine.planning import FREQUENCIES, angles, angles_of
from expertrag.llm.engine.program import Program
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.load.file_tokenizer import FileTokenizer
from expertrag.llm.network import Limits

DESCRIPTION_FILE = "program.json"
_VERSION = 1
_PROBE = "What does a tokenizer do with 1,234 «quotes», naïve café, 日本語,\n\n\tand  spaces?"


@dataclass(frozen=True, slots=True)
class Description:
    """A lowered model without its weights."""

    program: Program
    limits: Limits
    special_tokens: Mapping[str, str]
    """By their names in chat templates."""

    def write(self, folder: Path) -> None:
        """Write the description into a folder."""
        limits = {**asdict(self.limits), "end_tokens": sorted(self.limits.end_tokens)}
        body = {
            "version": _VERSION,
            "limits": limits,
            "special_tokens": dict(self.special_tokens),
            "program": self.program.as_json(),
        }
        (folder / DESCRIPTION_FILE).write_text(json.dumps(body) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Description | None:
        """Read a folder's description; None if there is none, or one of another version.

        :raises ValueError: it is damaged.
        """
        path = folder / DESCRIPTION_FILE
        if not path.is_file():
            return None
        try:
            body = json.loads(path.read_bytes())
            if body["version"] != _VERSION:
                return None
            stored = body["limits"]
            lists = {
                "end_tokens": frozenset(stored["end_tokens"]),
                "experts": current_names(stored["experts"]),
            }
            limits = Limits(**{**stored, **lists})
            return cls(Program.read(body["program"]), limits, dict(body["special_tokens"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{DESCRIPTION_FILE} is damaged: {error}") from error


def describe(folder: Path, lowered: Lowered, model: Any, tokenizer: Any) -> None:
    """Write a model's description into a folder, if its files then suffice without transformers.

    :param lowered: the model lowered onto a recording decoder.
    :param model: the model that was lowered, for its limits and angles.
    :param tokenizer: of transformers; without a description if the files give other tokens.
    """
    special = getattr(tokenizer, "special_tokens_map", {})
    if not all(isinstance(token, str) for token in special.values()):
        return
    rotary = model.model.rotary_emb
    polar = not isinstance(rotary(torch.zeros(1), torch.arange(1)[None]), tuple)
    scaling = float(angles_of(rotary, 1)[0][0, 0])  # the cosine of nothing
    program = Program.of(lowered, scaling, polar=polar)
    if not _same_tokens(folder, special, tokenizer) or not _same_angles(lowered, rotary, program):
        return
    Description(program, Limits.of(model, tokenizer), special).write(folder)


def _same_tokens(folder: Path, special: Mapping[str, str], tokenizer: Any) -> bool:
    """Whether the folder's files and transformers give the same tokens for a chat and a text."""
    chat = [Message("system", "Be brief."), Message("user", _PROBE), Message("assistant", "Cuts.")]
    try:
        own, theirs = ChatTokenizer(FileTokenizer(folder, special)), ChatTokenizer(tokenizer)
    except Exception:  # no file, or one that only transformers understands
        return False
    for turns in (chat[1:2], chat[:2], [*chat, chat[1]]):
        if _tokens(own, turns) != _tokens(theirs, turns):
            return False
    ids = theirs.encode_text(_PROBE)
    return own.encode_text(_PROBE) == ids and own.decode(ids) == theirs.decode(ids)


def _tokens(chat: ChatTokenizer, turns: list[Message]) -> list[int] | None:
    """Return the tokens of a prompt; None if the template rejects the turns."""
    try:
        return chat.encode(turns)
    except Exception:  # from jinja, in either tokenizer
        return None


def _same_angles(lowered: Lowered, rotary: Any, program: Program) -> bool:
    """Whether the frequencies give the angles that transformers computes."""
    frequencies, positions = lowered.weights[FREQUENCIES], 64
    own = angles(frequencies, program.scaling, positions, polar=program.polar)
    theirs = angles_of(rotary, positions)
    return all(torch.equal(one, other) for one, other in zip(own, theirs, strict=True))
