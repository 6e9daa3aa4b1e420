"""A language model of one layer and 70 tokens on our engine, whose steps take 0.3 ms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from small_decoder import PAGES, VOCABULARY, small_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.lowering import Lowered
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.network import Limits
from expertrag_kernels import Format

END = "<end>"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:!?-"


def small_tokenizer() -> Any:
    """Return a tokenizer of single characters."""
    words = {letter: number for number, letter in enumerate(LETTERS.replace(" ", "Ġ"))}
    model = models.BPE({**words, END: VOCABULARY - 1}, [])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer, eos_token=END)


def small_generator(pages: int = PAGES, kept: int = PAGES) -> TransformersGenerator:
    """Return a new model; every one answers alike.

    :param pages: of the KV cache.
    :param kept: how many of them keep their memory when no sequence holds them.
    """
    decoder = small_model(Format.F32, pages=pages).decoder
    decoder.step_rows = 64
    weights = {"layers.0.out": SimpleNamespace(format=Format.F32)}
    lowered = Lowered(decoder, weights, (), 0, 0)
    limits = Limits(256, frozenset([VOCABULARY - 1]))
    network = NativeNetwork(lowered, limits, kept * decoder.shape.page_bytes())
    return TransformersGenerator("small", "small-1", network, ChatTokenizer(small_tokenizer()))
