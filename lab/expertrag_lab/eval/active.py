"""The expert term of the cost formula: seconds of the language model from its weights and counters.

    C_experts = a · 2 · active parameters · tokens + b · bytes of weights read

The first part is the arithmetic of every token (two operations for each weight that it uses). The
second is the memory that each step reads: the weights that all tokens use, and each distinct expert
once. ``a`` and ``b``, seconds per operation and per byte, belong to the machine and the format of
the weights. They are fitted to answers to other questions (:meth:`MachineCosts.fitted`). Reads and
writes of the KV cache, which grow with the prompt, are a part of what is fitted.

The stages of an answer without the language model keep their measured time, so

    C = C_gate + p · (C_retrieve + C_experts(long prompt)) + (1 - p) · C_experts(short prompt)

(Gumaan 2025) has no measured time of the model in it but the gate's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from expertrag.api.types import GATE_STAGES
from expertrag.llm.weights import WeightUse
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.policies import REUSED

MODEL_STAGES = ("check", "prefill", "draft", "generate", "verify")
"""Stages that are the language model's work."""
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class ModelWork:
    """What the engine computed for one answer.

    ``rows``: tokens computed, rejected drafts included; ``prefill_tokens`` of them in
    ``prefill_steps``, the others in ``decode_steps``. ``prompts``: number of them. ``experts``: how
    many a token used of each layer with a router; 0 without routers.
    """

    rows: int
    prefill_tokens: int
    prefill_steps: int
    decode_steps: int
    prompts: int
    experts: float = 0.0

    @classmethod
    def between(
        cls, before: Mapping[str, int], after: Mapping[str, int], prompts: int
    ) -> ModelWork:
        """Read the work from the engine's counters before and after an answer, the only one."""
        spent = {name: after[name] - before[name] for name in after}
        prefill, rows, steps = (spent[name] for name in ("prefill_tokens", "rows", "steps"))
        # a step that an answer ends in may not have counted its drafts yet
        decode_steps = min(rows - prefill - spent["draft_tokens"], steps - bool(prefill))
        routed = spent["routed_tokens"]
        experts = spent["routed_experts"] / routed if routed else 0.0
        return cls(rows, prefill, steps - decode_steps, decode_steps, max(prompts, 1), experts)

    def operations(self, use: WeightUse, adapter: str | None = None) -> float:
        """Two for each weight that each row uses; logits are computed of rows that sample.

        :param adapter: the domain whose adapter all rows use.
        """
        own = use.adapters[adapter].parameters if adapter else 0.0
        each = use.body.parameters + self.experts * use.expert.parameters + own
        sampling = self.rows - self.prefill_tokens + self.prompts
        return 2 * (each * self.rows + use.head.parameters * sampling)

    def bytes(self, use: WeightUse, adapter: str | None = None) -> float:
        """Bytes of weights that the steps read, each distinct expert once a step."""
        decoded = self.rows - self.prefill_tokens
        parts = ((self.prefill_steps, self.prefill_tokens), (self.decode_steps, decoded))
        return sum(
            steps * use.active(use.distinct(self.experts, rows / steps), adapter=adapter).bytes
            for steps, rows in parts
            if steps
        )


@dataclass(frozen=True, slots=True)
class CostedAnswer:
    """One answer: its seconds on the clock and by stage, and the work of the model behind them.

    ``operations``, ``bytes``: see :class:`ModelWork`. ``experts``: of each layer, per token.
    ``right``: whether it is; None without accepted answers.
    """

    id: str
    kind: str
    mode: str
    retrieved: bool
    seconds: float
    stages: Mapping[str, float]
    operations: float
    bytes: float
    experts: float = 0.0
    right: bool | None = None

    @property
    def model_seconds(self) -> float:
        """Measured seconds of the language model."""
        return sum(self.stages.get(name, 0.0) for name in MODEL_STAGES)

    @property
    def other_seconds(self) -> float:
        """Measured seconds of all other stages."""
        return sum(self.stages.values()) - self.model_seconds

    @property
    def gate_seconds(self) -> float:
        """Measured seconds of the stages before the decision."""
        return sum(self.stages.get(name, 0.0) for name in GATE_STAGES)

    @property
    def reusable_seconds(self) -> float:
        """Measured seconds of the gate that a closed-book answer need not spend again."""
        return sum(self.stages.get(name, 0.0) for name in REUSED)


@dataclass(frozen=True, slots=True)
class MachineCosts:
    """Seconds per operation, and per byte of weights read."""

    per_operation: float
    per_byte: float

    @classmethod
    def fit(cls, answers: Sequence[CostedAnswer]) -> MachineCosts:
        """Fit both, which are not negative, to measured seconds of the model by least squares.

        Errors count relative to the mean of the answer's mode, so that short answers also count.
        """
        from scipy.optimize import nnls

        work = np.array([(one.operations, one.bytes) for one in answers])  # [N, 2]
        seconds = np.array([one.model_seconds for one in answers])
        modes = np.array([one.mode for one in answers])
        weight = np.array([1 / seconds[modes == mode].mean() for mode in modes])
        scale = work.mean(axis=0)
        solution, _ = nnls(work / scale * weight[:, None], seconds * weight)
        return cls(*(solution / scale).tolist())

    def of(self, operations: float, read: float) -> float:
        """Return the seconds of operations and of bytes read."""
        return self.per_operation * operations + self.per_byte * read

    def seconds(self, answer: CostedAnswer) -> float:
        """Predict the seconds of an answer: the model's, and measured ones of all else."""
        return self.of(answer.operations, answer.bytes) + answer.other_seconds


def compare_costs(
    answers: Sequence[CostedAnswer], costs: MachineCosts, seed: int = 0
) -> dict[str, JSON]:
    """Compare predicted and measured mean seconds of answers in one mode."""
    predicted = np.array([costs.seconds(one) for one in answers])
    measured = np.array([one.seconds for one in answers])
    judged = [one.right for one in answers if one.right is not None]
    names = ("retrieved", "other_seconds", "model_seconds", "operations", "bytes", "experts")
    means = {name: fmean(float(getattr(one, name)) for one in answers) for name in names}
    return {
        "n": len(answers),
        "judged": len(judged),
        "right": fmean(judged) if judged else None,
        **means,
        "measured": float(measured.mean()),
        "predicted": float(predicted.mean()),
        **_error(predicted, measured, seed),
    }


def formula(
    auto: Sequence[CostedAnswer],
    never: Mapping[str, CostedAnswer],
    always: Mapping[str, CostedAnswer],
    costs: MachineCosts,
    seed: int = 0,
) -> dict[str, JSON]:
    """Predict AUTO by the whole formula from the work of NEVER and ALWAYS, by question id.

    A question that AUTO retrieves for counts as the gate and ALWAYS. Any other counts as the gate
    and NEVER, less what a closed-book answer continues from. Passages that the gate checks and the
    answer reads again count twice.
    """
    branches = [(always if one.retrieved else never)[one.id] for one in auto]
    gate = np.array([one.gate_seconds for one in auto])
    shared = np.array([one.gate_seconds for one in branches])  # such as embedding the question
    reused = np.array([0.0 if one.retrieved else one.reusable_seconds for one in auto])
    answer = np.array([costs.seconds(one) for one in branches]) - shared - reused
    predicted, measured = gate + answer, np.array([one.seconds for one in auto])
    return {
        "gate": float(gate.mean()),
        "p": fmean(one.retrieved for one in auto),
        "predicted": float(predicted.mean()),
        **_error(predicted, measured, seed),
    }


def _error(
    predicted: NDArray[np.float64], measured: NDArray[np.float64], seed: int
) -> dict[str, JSON]:
    """Relative error of the mean, and its 95 % bootstrap interval."""
    draws = np.random.default_rng(seed).integers(len(measured), size=(RESAMPLES, len(measured)))
    errors = predicted[draws].mean(axis=1) / measured[draws].mean(axis=1) - 1
    low, high = np.quantile(errors, [0.025, 0.975]).tolist()
    return {"error": float(predicted.mean() / measured.mean() - 1), "low": low, "high": high}
