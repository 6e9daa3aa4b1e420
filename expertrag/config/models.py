"""The settings of the models, the gate and the search."""

from __future__ import annotations

from dataclasses import dataclass, fields

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import AnswerRequest, GateMode
from expertrag.config.adapters import adapters_of
from expertrag.config.setting import invalid, option, validate

AUTO_EMBEDDER = "auto"
AUTO_GENERATOR = "auto"
AUTO_GATE = "auto"
AUTO_READER = "auto"
NO_READER = "none"
AUTO_PROBE = "auto"
NO_PROBE = "none"
AUTO_RERANKER = "auto"
ON_RERANKER = "on"
NO_RERANKER = "off"
TRAINING_FREE = "training-free"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The models, and their memory."""

    embedder: str = option(
        AUTO_EMBEDDER,
        "Embedder: package model, folder or hub id (sentence-transformers), a bundle of domain "
        "experts, or openai:URL#MODEL, ollama:URL#MODEL or tei:URL for one on a server; auto is "
        "the one that built the store, or minilm-domains. A new store with a tenth of its text "
        "or more in other languages than English gets multilingual-e5-small if it is pulled.",
    )
    generator: str = option(
        AUTO_GENERATOR,
        "Language model: package model, folder, GGUF file, hub id, or openai:URL[,URL...]#MODEL "
        "for one or several servers; auto is qwen2.5-coder-1.5b-instruct if 6 GiB of memory are "
        "available, else smollm2-135m-reader.",
    )
    reader: str = option(
        NO_READER,
        "Reader that runs with the language model and answers from passages: a folder from "
        "`expertrag train reader`; auto is the one shipped for the model, if any; none runs the "
        "model alone.",
    )
    probe: str = option(
        AUTO_PROBE,
        "Probe that predicts from the language model's hidden states whether the passages hold the "
        "answer: a folder from `expertrag train probe`; auto is the one shipped for the model, if "
        "any; none relies on the model's text alone.",
    )
    reranker: str = option(
        NO_RERANKER,
        "Reranker of the search's best passages: a folder or hub id (sentence-transformers "
        "CrossEncoder), a folder from `expertrag train reranker`, or cohere:URL#MODEL or tei:URL "
        "for one on a server. It is used unless the store's estimate is against it. auto is the "
        "shipped one, on stores where the estimate is for it; on is the shipped one on every "
        "store; off is none.",
    )
    adapters: str = option(
        "",
        "Adapters (LoRA) of the language model that requests may name: NAME=FOLDER, several with "
        "commas; a folder is as peft saves it.",
    )
    dtype: str = option(
        "auto",
        "Data type of the language model; int8 and int4 quantize its weights, on the CPU; mxfp4 "
        "leaves experts that are stored in it as they are, on the CPU, like auto.",
        choices=("auto", "float32", "bfloat16", "float16", "int8", "int4", "mxfp4"),
    )
    device: str = option("auto", "Device of the models: auto, cpu, cuda, cuda:0, mps.")
    cache_mib: int = option(
        1024,
        "Maximum KV cache of running sequences in MiB, on the CPU; allocated as needed.",
        minimum=1,
    )
    reuse_mib: int = option(
        64,
        "KV cache in MiB that is kept after sequences end, for prefix caching; the rest is "
        "returned to the system.",
        minimum=0,
    )

    def __post_init__(self) -> None:
        validate(self, "model")
        adapters_of(self.adapters)


@dataclass(frozen=True, slots=True)
class GateConfig:
    """When to retrieve."""

    mode: str | None = option(
        None,
        "auto: the gate decides; never, always: skip or force retrieval; strict: answer from the "
        "documents or abstain. Of a server, it is for requests that name none. Unset: the mode of "
        "the token, of the collection or of the server, else auto.",
        choices=tuple(mode.value for mode in GateMode),
    )
    bundle: str = option(
        AUTO_GATE,
        "Gate: a folder from `expertrag train gate`, a shipped gate, or training-free; auto is the "
        "shipped gate that was fitted on the language model, or training-free if there is none.",
    )
    threshold: float | None = option(
        None,
        "Retrieve when the probability of benefit reaches this. Unset: the gate's own threshold.",
        minimum=0.0,
        maximum=1.0,
    )
    target_rate: float | None = option(
        None,
        "Retrieve for at most this share of the questions that the gate decides. Unset: no budget.",
        minimum=0.0,
        maximum=1.0,
    )
    max_violation: float = option(
        0.1,
        "Maximum probability that the initial threshold of a fitted gate exceeds the target rate.",
        minimum=0.001,
        maximum=0.5,
    )

    answer_value_s: float | None = option(
        None,
        "Value of a right answer, in seconds of this machine: a fitted gate retrieves when the "
        "benefit times this value reaches the measured cost of a retrieval. Unset: no price.",
        minimum=1e-6,
    )

    unsure: str = option(
        "closed_book",
        "How to answer a question whose probability of benefit is slightly below the threshold: "
        "closed_book, by the model alone; strict, from the documents or not at all.",
        choices=("closed_book", "strict"),
    )

    @property
    def is_named(self) -> bool:
        """Whether ``bundle`` names a specific fitted gate."""
        return self.bundle not in (AUTO_GATE, TRAINING_FREE)

    def __post_init__(self) -> None:
        validate(self, "gate")
        ways = ("threshold", "target_rate", "answer_value_s")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) > 1:
            raise invalid(
                f"gate.{given[1]}", f"cannot be combined with gate.{given[0]}; keep one of them"
            )
        if self.answer_value_s is not None and self.bundle == TRAINING_FREE:
            raise needs_fitted_gate()
        if self.target_rate is not None and self.unsure == "strict":
            raise invalid(
                "gate.unsure",
                "is strict, which retrieves beyond gate.target_rate; keep one of them",
            )


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """How much to retrieve."""

    k: int = option(
        next(item.default for item in fields(AnswerRequest) if item.name == "k"),
        "Passages to retrieve.",
        minimum=1,
        maximum=1_000,
    )

    def __post_init__(self) -> None:
        validate(self, "search")


@dataclass(frozen=True, slots=True)
class RerankConfig:
    """How much to rerank, if there is a reranker."""

    candidates: int = option(
        20, "Passages of a search that are reranked.", minimum=1, maximum=1_000
    )
    deadline_s: float = option(
        1.0,
        "Seconds that reranking may take; a search whose candidates would take longer keeps its "
        "order.",
        minimum=0.001,
        maximum=600,
    )

    def __post_init__(self) -> None:
        validate(self, "rerank")


def needs_fitted_gate() -> InvalidArgument:
    """Return the error for ``answer_value_s`` without a fitted gate."""
    return invalid(
        "gate.answer_value_s",
        "needs a calibrated probability of benefit, which the training-free gate does not give; "
        "set gate.bundle to a fitted gate",
    )
