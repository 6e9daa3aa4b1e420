"""How much of a prompt's KV cache could be reused, by passage order and by way to compute passages.

    python benchmarks/bench_reuse.py ../shared/data/squad2 --json FILE

The prompts are the system's own, over a stream of test questions of a data set. For each order, and
each way to compute passages:

- saved: share of the prompt tokens that an unlimited cache would hold on arrival
- containment: share of the answerable questions whose answer contains an accepted one (24 tokens)
- as_full: share of the answers that are identical to those of the served order, computed in full

Orders: ``best first`` as served; ``canonical`` by document id; ``best, canonical`` with the best
passage first; ``cached first``, which starts with cached passages, so that answers depend on
earlier questions. Ways: ``alone`` computes each passage after the instructions, without the
passages before it, and rotates its keys to their position (Prompt Cache, Gim et al. 2024);
``linked`` computes the first 16 tokens of each passage in place (EPIC, Hu et al. 2025).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import results_file
import torch
from generation_prompts import Asked, asked
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

import expertrag_kernels
from expertrag import models
from expertrag.api.types import Passage, Sampling
from expertrag.llm import prompt
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.load.loading import quiet
from expertrag.llm.sampling import Sampler
from expertrag.metrics import squad

SAMPLING = Sampling(max_tokens=24, stop=(prompt.NEXT_PASSAGE,))
LINKED_TOKENS = 16
NUMBER_TOKENS = 3
"""Tokens of a passage's number in brackets, which depends on its position."""
Tree = dict[Any, Any]
Pairs = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of all layers, each (1, heads, tokens, width)."""
CODE = (
    "expertrag/llm",
    *results_file.KERNELS,
    "benchmarks/bench_reuse.py",
    "benchmarks/generation_prompts.py",
)


def main() -> int:
    """Measure orders and ways to compute, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument("data", nargs="+", type=Path, help="dataset folders (BEIR layout)")
    parser.add_argument("--model", default="smollm2-135m-instruct-moe")
    parser.add_argument("--questions", type=int, default=200, help="questions of a stream")
    parser.add_argument("--answered", type=int, default=60, help="how many of them to answer")
    given = parser.parse_args()
    folder = str(models.resolve(given.model))
    engine = TransformersGenerator.load(folder)
    model, chat = _load(folder)
    found: dict[str, Any] = {}
    for data in given.data:
        stream = list(asked(data, given.questions))
        answerable = [one for one in stream if one.answers][: given.answered]
        found[data.name] = {
            "questions": len(stream),
            "answered": len(answerable),
            "orders": _orders(engine, chat, stream, answerable),
            "ways": _ways(model, chat, stream, answerable),
        }
        print(json.dumps(found[data.name], indent=1), file=sys.stderr)
    results_file.write(given.json or "-", found, CODE)
    return 0


def _load(folder: str) -> tuple[Any, ChatTokenizer]:
    """Load the model into transformers, with its experts on our kernels."""
    expertrag_kernels.register()
    with quiet():
        load: Any = AutoModelForCausalLM.from_pretrained  # unannotated
        model = load(folder, dtype=torch.bfloat16, experts_implementation="expertrag").eval()
    expertrag_kernels.pack_model(model)
    return model, ChatTokenizer(AutoTokenizer.from_pretrained(folder))


# -- orders --------------------------------------------------------------------------------------


def _orders(
    generator: TransformersGenerator,
    chat: ChatTokenizer,
    stream: Sequence[Asked],
    answerable: Sequence[Asked],
) -> dict[str, dict[str, float]]:
    found = {}
    served: list[str] = []
    for name in ("best first", "canonical", "best, canonical", "cached first"):
        ordered = dict(zip(map(id, stream), _ordered(name, stream), strict=True))
        prompts = [chat.encode(prompt.open_book(o.question, ordered[id(o)])) for o in stream]
        texts = []
        for one in tqdm(answerable, desc=name):
            messages = prompt.open_book(one.question, ordered[id(one)])
            with closing(generator.begin(messages, SAMPLING, from_passages=True)) as session:
                texts.append("".join(session.stream()))
        served = served or texts
        found[name] = {"saved": _saved(prompts), **_quality(answerable, texts, served)}
    return found


def _ordered(name: str, stream: Sequence[Asked]) -> Iterator[list[Passage]]:
    seen: Tree = {}
    for one in stream:
        passages = list(one.passages)
        if name == "canonical":
            passages.sort(key=lambda passage: passage.document_id)
        elif name == "best, canonical":
            passages[1:] = sorted(passages[1:], key=lambda passage: passage.document_id)
        elif name == "cached first":
            passages = _cached_first(passages, seen)
        yield passages


def _cached_first(passages: list[Passage], seen: Tree) -> list[Passage]:
    """Start with the longest sequence of passages that an earlier prompt starts with."""
    first: list[Passage] = []
    node = seen
    while known := [p for p in passages if p not in first and p.document_id in node]:
        first.append(known[0])
        node = node[known[0].document_id]
    ordered = first + [passage for passage in passages if passage not in first]
    node = seen
    for passage in ordered:
        node = node.setdefault(passage.document_id, {})
    return ordered


def _saved(prompts: Sequence[Sequence[int]]) -> float:
    """Share of the tokens that are a prefix of an earlier prompt."""
    seen: Tree = {}
    known = 0
    for tokens in prompts:
        node, new = seen, False
        for token in tokens:
            new = new or token not in node
            known += not new
            node = node.setdefault(token, {})
    return known / sum(map(len, prompts))


# -- ways ----------------------------------------------------------------------------------------


def _ways(
    model: Any, chat: ChatTokenizer, stream: Sequence[Asked], answerable: Sequence[Asked]
) -> dict[str, dict[str, float]]:
    found = {}
    served: list[str] = []
    segments = [_segments(chat, one) for one in stream]
    for name, linked in (("whole", None), ("alone", 0), ("linked", LINKED_TOKENS)):
        texts = [_answer(model, chat, one, linked) for one in tqdm(answerable, desc=name)]
        served = served or texts
        if linked is None:
            saved = _saved([_flat(some) for some in segments])
        else:
            saved = _saved_alone(stream, segments, max(linked, NUMBER_TOKENS))
        found[name] = {"saved": saved, **_quality(answerable, texts, served)}
    return found


def _saved_alone(stream: Sequence[Asked], prompts: Sequence[list[list[int]]], anew: int) -> float:
    """Share of the tokens whose passage was seen before, at any position.

    :param anew: number of tokens at the start of each passage that are computed in place.
    """
    seen: set[str] = set()
    known = 0
    for one, (first, *passages, _) in zip(stream, prompts, strict=True):
        known += len(first) * bool(seen)
        for passage, tokens in zip(one.passages, passages, strict=True):
            known += (passage.document_id in seen) * max(0, len(tokens) - anew)
        seen |= {passage.document_id for passage in one.passages}
    return known / sum(len(segment) for segments in prompts for segment in segments)


def _segments(chat: ChatTokenizer, one: Asked) -> list[list[int]]:
    """Tokens of the instructions, of each passage, and of the question."""
    whole = [
        chat.encode(prompt.open_book(one.question, one.passages[:count]))
        for count in range(len(one.passages) + 1)
    ]
    ends = [_common(shorter, whole[-1]) for shorter in whole[:-1]]
    ends.append(len(whole[-1]) - _common(whole[0][::-1], whole[-1][::-1]))
    return [whole[-1][a:b] for a, b in zip([0, *ends], [*ends, None], strict=True)]


def _flat(segments: Sequence[list[int]]) -> list[int]:
    return [token for segment in segments for token in segment]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


@torch.inference_mode()
def _answer(model: Any, chat: ChatTokenizer, one: Asked, linked: int | None) -> str:
    """Answer from passages computed in full (None), or alone except for their first tokens."""
    first, *passages, last = _segments(chat, one)
    if linked is None:
        cache, tail = None, [*first, *_flat(passages), *last]
    else:
        cache, tail = _put_together(model, first, passages, linked), last
    sampler = Sampler.of(SAMPLING, model.device)
    drawn: list[int] = []
    while len(drawn) < SAMPLING.max_tokens:
        output = model(input_ids=torch.tensor([tail]), past_key_values=cache, use_cache=True)
        cache, tail = output.past_key_values, [sampler.draw(output.logits[0, -1])]
        if tail[0] == model.generation_config.eos_token_id:
            break
        drawn += tail
    return chat.decode(drawn).split(prompt.NEXT_PASSAGE)[0]


def _put_together(
    model: Any, first: list[int], passages: list[list[int]], linked: int
) -> DynamicCache:
    """Compute each passage after the instructions only, and rotate its keys to their position."""
    instructions = _computed(model, first, None)
    cache = instructions
    for tokens in passages:
        moved = cache[0][0].shape[2] - len(first)
        alone = _computed(model, tokens, instructions)
        if linked:
            cache = _joined(cache, _computed(model, tokens[:linked], cache))
        cache = _joined(
            cache,
            [(_turned(model, k, moved)[:, :, linked:], v[:, :, linked:]) for k, v in alone],
        )
    return _cache_of(model, cache)


def _computed(model: Any, tokens: list[int], before: Pairs | None) -> Pairs:
    """Compute keys and values of tokens that follow others."""
    cache: Any = _cache_of(model, before or [])  # mypy does not know the type of its layers
    model(input_ids=torch.tensor([tokens]), past_key_values=cache, use_cache=True, logits_to_keep=1)
    length = len(tokens)
    return [(layer.keys[:, :, -length:], layer.values[:, :, -length:]) for layer in cache.layers]


def _cache_of(model: Any, pairs: Pairs) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    for layer, (keys, values) in enumerate(pairs):
        cache.update(keys, values, layer)
    return cache


def _joined(one: Pairs, other: Pairs) -> Pairs:
    return [
        (torch.cat([a, c], 2), torch.cat([b, d], 2))
        for (a, b), (c, d) in zip(one, other, strict=True)
    ]


def _turned(model: Any, keys: torch.Tensor, moved: int) -> torch.Tensor:
    """Rotate keys by ``moved`` positions (rotary position embedding)."""
    cos, sin = model.model.rotary_emb(keys.float(), torch.tensor([[moved]]))
    half = keys.shape[-1] // 2
    across = torch.cat([-keys[..., half:], keys[..., :half]], -1)
    turned: torch.Tensor = keys.float() * cos + across.float() * sin
    return turned.to(keys.dtype)


def _quality(
    answerable: Sequence[Asked], texts: Sequence[str], served: Sequence[str]
) -> dict[str, float]:
    right = [
        squad.substring(text, one.answers) for one, text in zip(answerable, texts, strict=True)
    ]
    same = [text == other for text, other in zip(texts, served, strict=True)]
    return {"containment": sum(right) / len(right), "as_full": sum(same) / len(same)}


if __name__ == "__main__":
    sys.exit(main())
