"""The shared layers below the experts: run alone, or skipped if their output is cached.

They are frozen, so their output for a text never changes during training and is computed once.

    N texts, L tokens of the longest, E experts, H hidden, D dimensions
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from expertrag_retriever.experts.surgery import anatomy_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_MOST_BYTES = 3 << 30  # of cached states; further texts run through the whole model
_MINI_BATCH_TOKENS = 6144
"""Padded tokens of a mini-batch; grouping texts of similar length wastes little on padding."""


class _Reached(BaseException):
    """Stops a forward pass; carries the hidden states (N, L, H) that reach the first expert layer.

    Not an Exception, so that no library code on the call stack catches it.
    """

    def __init__(self, hidden: torch.Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def layers_of(model: SentenceTransformer) -> nn.ModuleList:
    """Return the layers of an encoder.

    :raises EmbedderError: encoders of this kind cannot have experts.
    """
    encoder: Any = model[0].model
    layers: nn.ModuleList = encoder.get_submodule(anatomy_of(encoder).layers)
    return layers


def first_layer_of(model: SentenceTransformer) -> int:
    """Index of the first layer with experts; the middle layer (the default) if there are none.

    :raises EmbedderError: encoders of this kind cannot have experts.
    """
    transformer: Any = model[0]
    if getattr(transformer, "settings", None) is not None:
        return int(transformer.first_layer)
    return len(layers_of(model)) // 2


@contextmanager
def ending_below_experts(
    model: SentenceTransformer,
) -> Iterator[Callable[[dict[str, Any]], torch.Tensor]]:
    """Yield a function from features to the hidden states (N, L, H) that reach the experts.

    No other thread may run the model within the block: its pass would stop at the same layer.
    """
    hook = layers_of(model)[first_layer_of(model)].register_forward_pre_hook(
        _stop, with_kwargs=True, prepend=True
    )

    def reach(features: dict[str, Any]) -> torch.Tensor:
        try:
            with torch.inference_mode():
                model[0](features)
        except _Reached as reached:
            return reached.hidden
        raise AssertionError("every pass reaches the first layer with experts")

    try:
        yield reach
    finally:
        hook.remove()


def _stop(
    _layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, Any] | None:
    raise _Reached(inputs[0] if inputs else named["hidden_states"])


class Trunk:
    """Encodes texts with a model whose shared layers run only once for each text."""

    def __init__(self, model: SentenceTransformer) -> None:
        """Take a model with experts; no other thread may run it at the same time."""
        self._model = model
        self._layers = layers_of(model)
        self._first = first_layer_of(model)
        self._states: dict[str, torch.Tensor] = {}  # (L, H) of each text
        self._bytes = 0
        self._tuples = False

    def learn(self, texts: Sequence[str], advance: Callable[[int, int], None]) -> None:
        """Run the shared layers on texts and cache the states, up to a memory limit.

        The same texts in the same order give bit-identical states.

        :param advance: called with the number of texts done, and their total.
        """
        new = sorted(dict.fromkeys(texts), key=len, reverse=True)
        if not self._first:
            return
        size = max(1, _MINI_BATCH_TOKENS // int(self._model.max_seq_length or 512))
        noted = self._layers[self._first - 1].register_forward_hook(self._note)
        try:
            with ending_below_experts(self._model) as reach:
                for start in range(0, len(new), size):
                    if self._bytes > _MOST_BYTES:
                        return
                    batch = new[start : start + size]
                    features = self._features(batch)
                    mask = features["attention_mask"].bool()
                    for text, hidden, kept in zip(batch, reach(features), mask, strict=True):
                        self._states[text] = hidden[kept].clone()
                        self._bytes += self._states[text].nbytes
                    advance(min(start + size, len(new)), len(new))
        finally:
            noted.remove()

    def vectors(self, texts: Sequence[str], expert: int) -> torch.Tensor:
        """Return unit vectors (N, D) float32 by one expert; E and above is the base model.

        They carry gradients to the experts' parameters where gradients are enabled.
        """
        parts, order = [], []
        for rows in self._mini_batches(texts):
            parts.append(self._run([texts[row] for row in rows], expert))
            order += rows
        back = torch.empty(len(order), dtype=torch.int64)
        back[torch.tensor(order)] = torch.arange(len(order))
        return torch.cat(parts)[back]

    def _mini_batches(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Yield rows of texts of similar length, longest first."""
        lengths = [len(self._states[text]) if text in self._states else 0 for text in texts]
        known = [row for row, length in enumerate(lengths) if length]
        unknown = [row for row, length in enumerate(lengths) if not length]
        known.sort(key=lengths.__getitem__, reverse=True)
        longest = int(self._model.max_seq_length or 512)
        for rows, tokens in ((known, lengths), (unknown, [longest] * len(lengths))):
            start = 0
            while start < len(rows):
                size = max(1, _MINI_BATCH_TOKENS // tokens[rows[start]])
                yield rows[start : start + size]
                start += size

    def _note(self, _layer: nn.Module, _inputs: Any, output: Any) -> None:
        self._tuples = isinstance(output, tuple)  # some libraries' layers return tuples

    def _features(self, texts: Sequence[str]) -> dict[str, Any]:
        return {
            name: value.to(self._model.device) if isinstance(value, torch.Tensor) else value
            for name, value in self._model.preprocess(list(texts)).items()
        }

    def _run(self, texts: Sequence[str], expert: int) -> torch.Tensor:
        features = self._features(texts)
        features["expert_index"] = torch.full((len(texts),), expert)
        if all(text in self._states for text in texts):
            hidden = torch.cat([self._states[text] for text in texts])
            with self._skip_known(hidden, features["attention_mask"].bool()):
                features = self._model[0](features)
        else:
            features = self._model[0](features)
        for module in list(self._model)[1:]:
            features = module(features)
        return nn.functional.normalize(features["sentence_embedding"].float(), dim=1)

    @contextmanager
    def _skip_known(self, hidden: torch.Tensor, mask: torch.Tensor) -> Iterator[None]:
        """Skip the shared layers within the block: their output is ``hidden``.

        :param hidden: states of the tokens in ``mask``, (tokens of all texts, H).
        """
        padded = hidden.new_zeros(*mask.shape, hidden.shape[-1])  # [N, L, H]
        padded[mask] = hidden
        shared = list(self._layers[: self._first])
        for place, layer in enumerate(shared):
            self._layers[place] = _Known(layer, padded, as_tuple=self._tuples)
        try:
            yield
        finally:
            for place, layer in enumerate(shared):
                self._layers[place] = layer


class _Known(nn.Module):
    """Replaces a shared layer whose output is known."""

    def __init__(self, layer: nn.Module, hidden: torch.Tensor, *, as_tuple: bool) -> None:
        super().__init__()
        self.__dict__["stood_for"] = layer  # not a submodule: its parameters must not be listed
        self.hidden = hidden
        self._as_tuple = as_tuple

    def __getattr__(self, name: str) -> Any:
        """Delegate to the replaced layer: some encoders read an attribute of their layers."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["stood_for"], name)

    def forward(self, *_inputs: Any, **_named: Any) -> Any:
        return (self.hidden,) if self._as_tuple else self.hidden
