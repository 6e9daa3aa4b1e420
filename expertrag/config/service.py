"""The settings of a server: where it listens, who may call, what it writes."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag.config.setting import invalid, option, validate


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Where the server listens, and how many calls it admits. Times are in seconds."""

    address: str = option("127.0.0.1:50051", "Where to listen: HOST:PORT or unix:PATH.")
    http_address: str = option(
        "",
        "Where to also listen for HTTP: OpenAI's API, MCP and the console (extra http). Unset: "
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
    """Collections next to the store of ``index``."""

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
            raise invalid("tls.cert", "is unset; mutual TLS also needs a certificate of the server")


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
