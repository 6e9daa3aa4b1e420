"""The configuration as frozen dataclasses: the only place for defaults, ranges and help.

Flags, environment variables, the keys of a file and the page config.md are derived from these
fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import AnswerRequest, GateMode
from expertrag.config.adapters import adapters_of
from expertrag.config.lab import LabConfig
from expertrag.config.request import FilesConfig, RequestConfig
from expertrag.config.setting import Setting, invalid, option, setting_of, validate

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
        "Embedder: package model, folder or hub id (sentence-transformers), or a bundle of domain "
        "experts; auto is the one that built the store, or minilm-domains for a new store.",
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
        "CrossEncoder), a folder from `expertrag train reranker`, or a shipped one, unless the "
        "store's estimate is against it; auto is the shipped one, on stores where the estimate is "
        "for it; on is the shipped one on every store; off is none.",
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
        "documents or abstain. Of a server, it is for requests that name none. Unset: that of the "
        "token, of the collection or of the server, else auto.",
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


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Where the server listens, and how many calls it admits. Times are in seconds."""

    address: str = option("127.0.0.1:50051", "Where to listen: HOST:PORT or unix:PATH.")
    http_address: str = option(
        "",
        "Where to listen for HTTP, too: OpenAI's API, MCP and the console (extra http). Unset: "
        "nowhere.",
    )
    http_host: str = option(
        "",
        "Further host names, separated by commas, by which a proxy or this machine reaches an "
        "http_address on loopback; requests for others are refused.",
    )
    max_concurrency: int = option(
        8, "Maximum concurrent calls per method.", minimum=1, maximum=1_024
    )
    queue_depth: int = option(
        16, "Maximum queued calls per method; more are rejected.", minimum=0, maximum=65_536
    )
    default_deadline_s: float = option(30.0, "Default deadline of a call, in seconds.", minimum=0.1)
    max_deadline_s: float = option(120.0, "Maximum deadline of a call, in seconds.", minimum=0.1)
    upload_idle_s: float = option(
        10.0, "Time that a sender of documents may be idle, in seconds.", minimum=0.1
    )
    max_upload_s: float = option(3_600.0, "Maximum deadline of a write, in seconds.", minimum=0.1)
    lame_duck_s: float = option(
        2.0,
        "Seconds from NOT_SERVING to rejecting new calls after SIGTERM, so that load balancers can "
        "switch away; 0 if nobody has asked for the health.",
        minimum=0.0,
        maximum=600,
    )
    drain_s: float = option(
        30.0, "Time that running calls have after SIGTERM, in seconds.", minimum=0.0, maximum=3_600
    )
    metrics_port: int = option(
        0, "Port of the Prometheus metrics; 0 disables them.", minimum=0, maximum=65_535
    )
    metrics_host: str = option(
        "127.0.0.1",
        "Where the metrics listen: they are sent without TLS, to anyone who asks. 0.0.0.0 for a "
        "network that only the operator reaches.",
    )
    allow_writes: bool = option(False, "Let callers add and delete documents.")
    compact_after_s: float = option(
        300.0,
        "With allow_writes: compact a collection of which a fifth is deleted, once nobody has "
        "written to it for so many seconds; 0: never.",
        minimum=0.0,
        maximum=1e9,
    )
    reflection: bool | None = option(
        None,
        "Let callers list the services (gRPC reflection). Unset: only on loopback.",
    )

    def __post_init__(self) -> None:
        validate(self, "service")
        if self.default_deadline_s > self.max_deadline_s:
            message = f"is {self.default_deadline_s:g}, over max_deadline_s {self.max_deadline_s:g}"
            raise invalid("service.default_deadline_s", f"{message}; lower it")


@dataclass(frozen=True, slots=True)
class CollectionsConfig:
    """Collections beside the store of ``index``."""

    folder: str = option(
        "", "Folder of the collections that callers create. Unset: they cannot create any."
    )
    memory_mib: int = option(
        4096,
        "Vectors of open collections, in MiB; beyond it, the least recently used ones are closed, "
        "and opened again by their next call.",
        minimum=1,
    )

    def __post_init__(self) -> None:
        validate(self, "collections")


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """Copies of the store of ``index`` on other machines."""

    follow: str = option(
        "",
        "Serve a read-only copy of the store that is pushed to this URL, and keep it in step: a "
        "folder, or s3://bucket/folder (extra s3). The copy is made in the folder of --index.",
    )
    push: str = option(
        "",
        "Push every generation of the store to this URL, for servers that follow it; also what "
        "other processes write to the store.",
    )
    every_s: float = option(
        1.0,
        "With follow: seconds between two looks at the URL.",
        minimum=0.05,
        maximum=86_400,
    )
    keep: int = option(
        3,
        "With push: generations to keep at the URL; older ones are deleted.",
        minimum=2,
        maximum=1_000,
    )

    def __post_init__(self) -> None:
        validate(self, "replica")
        if self.follow and self.push:
            raise invalid("replica.push", "cannot be combined with replica.follow; keep one")


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """Who may call. Without ``tokens`` and ``jwt_keys``, everyone who reaches the server."""

    tokens: str = option(
        "",
        "File of bearer tokens (`expertrag tokens create`); every call then needs a token.",
    )
    jwt_keys: str = option(
        "",
        "Public keys of an identity provider, a PEM file or a JSON Web Key Set: callers may then "
        "send its JSON Web Tokens.",
    )
    jwt_issuer: str = option("", "Required issuer (iss) of a JSON Web Token. Unset: any.")
    jwt_audience: str = option("", "Required audience (aud) of a JSON Web Token. Unset: any.")
    insecure: bool = option(
        False,
        "Listen beyond loopback without TLS, such as behind a proxy that encrypts.",
    )

    def __post_init__(self) -> None:
        validate(self, "auth")
        if (self.jwt_issuer or self.jwt_audience) and not self.jwt_keys:
            raise invalid("auth.jwt_keys", "is unset; set it to the provider's public keys")


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """TLS of the server. The files are read again when they change."""

    cert: str = option("", "Certificate chain of the server (PEM). Unset: no TLS.")
    key: str = option("", "Private key of the certificate (PEM).")
    client_ca: str = option(
        "", "Certificates (PEM) of which a client needs one of its own (mutual TLS)."
    )

    def __post_init__(self) -> None:
        validate(self, "tls")
        if bool(self.cert) != bool(self.key):
            missing = "key" if self.cert else "cert"
            raise invalid(f"tls.{missing}", "is unset; give both the certificate and its key")
        if self.client_ca and not self.cert:
            raise invalid("tls.cert", "is unset; mutual TLS needs a certificate of the server, too")


@dataclass(frozen=True, slots=True)
class QuotaConfig:
    """What each caller may use, unless its token has a quota of its own."""

    requests: int | None = option(None, "Calls per minute. Unset: no limit.", minimum=1)
    tokens: int | None = option(
        None, "Tokens of the language model per minute, prompts included.", minimum=1
    )
    documents: int | None = option(
        None, "Documents per minute that are written or deleted.", minimum=1
    )
    bytes: int | None = option(None, "Bytes of requests per minute.", minimum=1)
    concurrent: int | None = option(None, "Concurrent calls.", minimum=1)

    def __post_init__(self) -> None:
        validate(self, "quota")


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """The audit log of the gate's decisions, to learn from use. Off unless set."""

    path: str = option("", "Audit log: file to append decisions to (JSON lines). Unset: none.")
    texts: bool = option(False, "Also log the questions; otherwise the file holds no text.")

    def __post_init__(self) -> None:
        validate(self, "audit")


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Logging, on stderr. Documents and questions are never logged."""

    level: str = option(
        "info", "Minimum level to log.", choices=("debug", "info", "warning", "error")
    )
    format: str = option(
        "auto",
        "Format of a log line; auto is console on a terminal, else json.",
        choices=("auto", "console", "json"),
    )

    def __post_init__(self) -> None:
        validate(self, "log")


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. ``index`` is the folder of the store; "" if unset."""

    index: str = option("", "Folder of the document store.")
    model: ModelConfig = field(default_factory=ModelConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    rerank: RerankConfig = field(default_factory=RerankConfig)
    request: RequestConfig = field(default_factory=RequestConfig)
    files: FilesConfig = field(default_factory=FilesConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    collections: CollectionsConfig = field(default_factory=CollectionsConfig)
    replica: ReplicaConfig = field(default_factory=ReplicaConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    tls: TlsConfig = field(default_factory=TlsConfig)
    quota: QuotaConfig = field(default_factory=QuotaConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    log: LogConfig = field(default_factory=LogConfig)
    lab: LabConfig = field(default_factory=LabConfig)

    def __post_init__(self) -> None:
        validate(self, "")
        if (self.replica.follow or self.replica.push) and not self.index:
            raise invalid("index", "is not set; replicas need the folder of a store")


def settings() -> tuple[Setting, ...]:
    """Return every setting, in the order of the dataclasses."""
    result = []
    for item in fields(Config):
        if is_dataclass(item.default_factory):
            result += [setting_of(item.name, inner) for inner in fields(item.default_factory)]
        else:
            result.append(setting_of("", item))
    return tuple(result)


def needs_fitted_gate() -> InvalidArgument:
    """Return the error for ``answer_value_s`` without a fitted gate."""
    return invalid(
        "gate.answer_value_s",
        "needs a calibrated probability of benefit, which the training-free gate does not give; "
        "set gate.bundle to a fitted gate",
    )
