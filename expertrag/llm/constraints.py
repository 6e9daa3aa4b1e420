"""Constrained decoding with llguidance: which tokens may come next.

A ``Vocabulary`` belongs to a model and compiles constraints; a ``Matcher`` belongs to a sequence
and follows its tokens through the grammar.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, regex_to_lark
from tokenizers import Tokenizer

from expertrag.api.types import Constraint
from expertrag.api.validation import invalid, schema_to_text

# JSON as ``json.dumps`` writes it: if any white space is allowed, small models write nothing else.
_JSON: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Vocabulary:
    """A model's tokens in llguidance's form, built at the first constraint. Thread-safe."""

    def __init__(self, tokenizer: Any, end_tokens: Collection[int]) -> None:
        """Take a tokenizer, of transformers or of a file, and the tokens that end a sequence."""
        self._tokenizer = tokenizer
        self._end_tokens = sorted(end_tokens)
        self._lock = threading.Lock()
        self._built: LLTokenizer | None = None

    def matcher(self, constraint: Constraint) -> Matcher:
        """Compile a constraint for a new sequence.

        :raises InvalidArgument: it cannot be compiled; the message names the field.
        """
        field, grammar = _grammar(constraint)
        limits = LLParserLimits(verbose_errors=False)  # verbose ones quote the generated text
        found = Matcher(LLMatcher(self._read(), grammar, log_level=0, limits=limits), field)
        found.allowed(1)  # some unsatisfiable grammars fail only here
        return found

    def _read(self) -> LLTokenizer:
        with self._lock:
            if self._built is None:
                self._built = self._build()
            return self._built

    def _build(self) -> LLTokenizer:
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise invalid(
                "constraint", "cannot be enforced with this model's tokenizer (no fast version)"
            )
        plain = Tokenizer.from_str(backend.to_str())
        plain.no_padding()
        plain.no_truncation()
        return LLTokenizer(plain.to_str(), eos_token=self._end_tokens or None)


class Matcher:
    """The state of one sequence in its grammar. Not thread-safe."""

    def __init__(self, matcher: LLMatcher, field: str) -> None:
        self._matcher = matcher
        self._field = field
        self._check()

    @property
    def complete(self) -> bool:
        """Whether the sequence is complete, so that only its end can follow."""
        return self._matcher.is_stopped()

    def allowed(self, tokens: int) -> torch.Tensor:
        """Return which of a model's tokens may come next, (V,) bool.

        :param tokens: V, the number of the model's tokens.
        :raises InvalidArgument: the grammar is too complex, or cannot be satisfied.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        # A model may have more rows than its tokenizer has tokens, or fewer: count pads or cuts.
        mask = np.unpackbits(bits, count=tokens, bitorder="little").view(np.bool_)
        return torch.from_numpy(mask)

    def forced(self) -> list[int]:
        """Return the tokens that must come next, as the tokenizer would split them."""
        return self._matcher.compute_ff_tokens()

    def consume(self, token: int) -> None:
        """Advance by a token that was allowed."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise invalid(self._field, _reason(self._matcher.get_error()))


def _grammar(constraint: Constraint) -> tuple[str, str]:
    """Return the field that is set, and its grammar in llguidance's format."""
    if constraint.regex is not None:
        ascii_digits = regex_to_lark(constraint.regex, "d")
        lark = f"start: /{ascii_digits}/"
        return "constraint.regex", LLMatcher.grammar_from_lark(lark)
    if constraint.json_schema is not None:
        schema = schema_to_text(constraint.json_schema)
        return "constraint.json_schema", LLMatcher.grammar_from_json_schema(schema, defaults=_JSON)
    if constraint.choices is not None:
        # One terminal: thousands of choices as separate rules would be too many at a time.
        choices = " | ".join(json.dumps(choice) for choice in constraint.choices)
        lark = f"start: CHOICE\nCHOICE: {choices}"
        return "constraint.choices", LLMatcher.grammar_from_lark(lark)
    return "constraint.grammar", LLMatcher.grammar_from_lark(constraint.grammar or "")


def _reason(error: str) -> str:
    """Shorten llguidance's report, which marks the position in the grammar, to one line."""
    lines = [line.strip() for line in error.splitlines()]
    errors = [line for line in lines if line.startswith("error:")] or lines
    return f"cannot be enforced ({errors[0].removeprefix('error:').strip()})"
