"""Hit rate of the prefix cache by its size, over a stream of questions.

    python lab/benchmarks/bench_kept.py ../shared/data/squad2 --generator FOLDER --json FILE

The prompts are the system's own for 200 test questions of a data set, in original and in shuffled
order, with all passages or only the best one, tokenized for a packed model; the pages are those of
the engine. No model is run. Figures are the share of prompt tokens found in the cache, by cache
size (``model.reuse_mib``).
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import results_file
from generation_prompts import Asked, asked

from expertrag.llm import prompt
from expertrag.llm.base import Message
from expertrag.llm.engine.page_pool import PagePool
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.load.description import Description
from expertrag.llm.load.file_tokenizer import FileTokenizer
from expertrag_kernels.steps import PAGE_TOKENS

KEPT_MIB = (0, 64, 128, 256, 512, 1024)
_CACHE_BYTES = 1 << 30
_ANSWER_TOKENS = 40
CODE = (
    "expertrag/llm/engine/page_pool.py",
    "expertrag/llm/prompt.py",
    "lab/benchmarks/bench_kept.py",
    "lab/benchmarks/generation_prompts.py",
)


def main() -> None:
    """Count cached tokens, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument("data", nargs="+", type=Path, help="dataset folders (BEIR layout)")
    parser.add_argument("--generator", required=True, type=Path, help="folder of `llm pack`")
    parser.add_argument("--questions", type=int, default=200)
    given = parser.parse_args()
    described = Description.read(given.generator)
    assert described is not None, "packed by this version"
    chat = ChatTokenizer(FileTokenizer(given.generator, described.special_tokens))
    shape = described.program.shape
    found: dict[str, dict[str, object]] = {}
    for data in given.data:
        questions = list(asked(data, given.questions))
        shuffled = random.Random(1).sample(questions, len(questions))
        found[data.name] = {}
        for shown, most in (("together", None), ("best alone", 1)):
            orders = {
                order: [chat.encode(prompt_of(one, most)) for one in stream]
                for order, stream in (("as they come", questions), ("shuffled", shuffled))
            }
            tokens = sum(map(len, orders["shuffled"]))
            found[data.name][shown] = {
                "tokens_a_question": tokens / len(questions),
                **{
                    order: {
                        kept: round(
                            reused(
                                stream, shape.most_pages(_CACHE_BYTES), shape.most_pages(kept << 20)
                            ),
                            3,
                        )
                        for kept in KEPT_MIB
                    }
                    for order, stream in orders.items()
                },
            }
    print(json.dumps(found, indent=1))
    results_file.write(given.json, found, CODE)


def prompt_of(one: Asked, most: int | None) -> list[Message]:
    """Return the prompt of a question with its best passages."""
    return prompt.open_book(one.question, one.passages[:most], family=prompt.INSTRUCT)


def reused(prompts: Sequence[list[int]], count: int, kept: int) -> float:
    """Return the share of prompt tokens found in the cache, for prompts in sequence."""
    pages, known = PagePool(count, kept), 0
    for tokens in prompts:
        found = pages.find(tokens, len(tokens) - 1)
        own, serial = found.pages, found.serial
        known += len(own) * PAGE_TOKENS + found.copied_tokens
        registered = len(own)
        if found.copied is not None:
            pages.release(found.copied)
        while len(own) * PAGE_TOKENS < len(tokens) + _ANSWER_TOKENS:
            page = pages.take()
            assert page is not None, "one text fits"
            own.append(page)
        for place in range(registered, len(tokens) // PAGE_TOKENS):
            part = tokens[place * PAGE_TOKENS : (place + 1) * PAGE_TOKENS]
            serial = pages.register(serial, part, own[place])
        for page in reversed(own):
            pages.release(page)
        pages.trim()
    return known / sum(map(len, prompts))


if __name__ == "__main__":
    main()
