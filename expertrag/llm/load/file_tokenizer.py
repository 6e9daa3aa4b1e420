"""The tokenizer and the chat template of a packed folder, read without transformers.

It has the part of the interface of transformers' tokenizers that :class:`ChatTokenizer` and
constraints use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Template
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from tokenizers import AddedToken, Tokenizer

TOKENIZER_FILE = "tokenizer.json"
TEMPLATE_FILE = "chat_template.jinja"


class Encoded(NamedTuple):
    """The token ids of a text."""

    input_ids: list[int]


class FileTokenizer:
    """A tokenizer from a file; safe to use from several threads."""

    def __init__(self, folder: Path, special_tokens: Mapping[str, str]) -> None:
        """Read a folder.

        :param special_tokens: by their names in templates ("bos_token").
        :raises OSError: a file cannot be read.
        :raises Exception: the tokenizer is damaged; the library has no specific type for that.
        """
        self.backend_tokenizer: Tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self.backend_tokenizer.no_truncation()
        self.backend_tokenizer.no_padding()
        template = folder / TEMPLATE_FILE
        self.chat_template = template.read_text("utf-8") if template.is_file() else None
        self.all_special_tokens = list(dict.fromkeys(special_tokens.values()))
        self._special_tokens = dict(special_tokens)
        self._template = None if self.chat_template is None else _compile(self.chat_template)

    @property
    def added_tokens_decoder(self) -> Mapping[int, AddedToken]:
        """Tokens in addition to the vocabulary, control tokens among them, by id."""
        tokens: Mapping[int, AddedToken] = self.backend_tokenizer.get_added_tokens_decoder()
        return tokens

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> Encoded:
        """Encode a text."""
        encoding = self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens)
        return Encoded(encoding.ids)

    def decode(
        self,
        tokens: Sequence[int],
        *,
        skip_special_tokens: bool,
        clean_up_tokenization_spaces: bool = False,
    ) -> str:
        """Return the text of tokens, with their spaces unchanged."""
        assert not clean_up_tokenization_spaces, "not supported"
        text: str = self.backend_tokenizer.decode(
            list(tokens), skip_special_tokens=skip_special_tokens
        )
        return text

    def apply_chat_template(
        self, turns: Sequence[Mapping[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        """Render a chat as one text.

        :raises TemplateError: the template rejects the turns.
        """
        assert self._template is not None and not tokenize, "not supported"
        return self._template.render(
            messages=[dict(turn) for turn in turns],
            add_generation_prompt=add_generation_prompt,
            **self._special_tokens,
        )


class _Namespace(Namespace):
    """A template's variables, without access to Python's own attributes."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise SecurityError(f"{name!r} may not be set")
        super().__setitem__(name, value)


def _compile(template: str) -> Template:
    """Compile a chat template with the functions that transformers provides."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _refuse,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "dict": lambda *pairs, **named: dict(*pairs, **named),
        "namespace": _Namespace,
    }
    return environment.from_string(template)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, **how: Any) -> str:
    """Write JSON without escapes for HTML, unlike jinja's filter."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **how)
