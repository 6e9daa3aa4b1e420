"""The model in training: loss of a row, and answers to questions.

Legend: T tokens of a row, A reply tokens among them, H hidden size, V vocabulary size
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel

from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.prompt import ABSTAINS_FROM, NOT_FOUND, Reply
from expertrag_lab.adapters import Adapters
from expertrag_lab.train.reader.attention import PACKED, Part
from expertrag_lab.train.reader.examples import ReaderExample
from expertrag_lab.train.reader.rows import PackedRow

ANSWER_TOKENS = 24
_BATCH = 8  # questions per batch


@dataclass(frozen=True, slots=True)
class RowLoss:
    """Summed loss of a row's reply tokens; ``exact``: whether greedy decoding gives each reply."""

    total: torch.Tensor
    exact: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class DevReply:
    """The reply to a question, and the probability of abstention, in [0, 1]."""

    reply: Reply
    doubt: float


class _Doubted(LogitsProcessor):
    """Choose between abstention and an answer by the doubt at the first token, as in serving."""

    def __init__(self, abstention: int, width: int) -> None:
        self._abstention = abstention
        self._width = width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Force or forbid an abstention at the first token, by its probability."""
        if input_ids.shape[1] > self._width:
            return scores
        sure = scores.float().softmax(1)[:, self._abstention] < ABSTAINS_FROM
        decided = scores.clone()  # the caller keeps the original for ``output_logits``
        decided[:, self._abstention] = torch.where(sure, -torch.inf, torch.inf)
        return decided


class ReaderNetwork:
    """A dense model with its adapters."""

    def __init__(self, model: PreTrainedModel, adapters: Adapters, chat: ChatTokenizer) -> None:
        self._model: Any = model  # mostly unannotated in transformers
        self._adapters = adapters
        self.chat = chat
        self._abstention = chat.encode_text(NOT_FOUND)[0]
        self.end: int = model.config.eos_token_id

    def loss(self, row: PackedRow) -> RowLoss:
        """Loss of the replies of a row; logits are computed for reply tokens only."""
        self._model.set_attn_implementation(PACKED)
        self._adapters.use(row.domain)
        logits = self._logits(row)
        targets = torch.tensor(row.targets)  # [A]
        right = (logits.detach().argmax(1) == targets).split([len(e.reply) for e in row.branches])
        total = functional.cross_entropy(logits, targets, reduction="sum")
        return RowLoss(total, tuple(bool(some.all()) for some in right))

    def _logits(self, row: PackedRow) -> torch.Tensor:
        """Logits of the reply tokens, [A, V]."""
        hidden = self._model.base_model(
            input_ids=torch.tensor([row.tokens]),
            position_ids=torch.tensor([row.positions]),
            parts=[Part.of(borders) for borders in row.borders],
            use_cache=False,
        ).last_hidden_state[0, row.answering]  # [A, H]
        logits: torch.Tensor = self._model.get_output_embeddings()(hidden)
        return logits.float()

    @torch.inference_mode()
    def answer(self, examples: Sequence[ReaderExample], domain: str) -> list[DevReply]:
        """Answer questions by greedy decoding with the adapters of one domain."""
        self._adapters.use(domain)
        self._model.set_attn_implementation("sdpa")
        prompts = [self.chat.encode(item.messages) for item in examples]
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        replies: dict[int, DevReply] = {}
        for start in range(0, len(order), _BATCH):
            some = order[start : start + _BATCH]
            replies.update(
                zip(some, self._replies([prompts[place] for place in some]), strict=True)
            )
        return [replies[place] for place in range(len(prompts))]

    def _replies(self, prompts: Sequence[list[int]]) -> list[DevReply]:
        width = max(map(len, prompts))
        ids = torch.tensor([[self.end] * (width - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        made = self._model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=ANSWER_TOKENS,
            do_sample=False,
            logits_processor=LogitsProcessorList([_Doubted(self._abstention, width)]),
            pad_token_id=self.end,
            output_logits=True,
            return_dict_in_generate=True,
        )
        doubts = made.logits[0].float().softmax(1)[:, self._abstention].tolist()
        rows = made.sequences[:, width:].tolist()
        return [
            DevReply(Reply.of(self.chat.decode(self._reply(tokens))), doubt)
            for tokens, doubt in zip(rows, doubts, strict=True)
        ]

    def _reply(self, tokens: list[int]) -> list[int]:
        """Cut off the padding after the end of a reply."""
        return tokens[: tokens.index(self.end) + 1] if self.end in tokens else tokens
