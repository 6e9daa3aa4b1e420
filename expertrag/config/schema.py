"""The configuration as frozen dataclasses: the only place for defaults, ranges and help.

Flags, environment variables, the keys of a file and the page config.md are derived from these
fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass

from expertrag.config.lab import LabConfig
from expertrag.config.models import GateConfig, ModelConfig, RerankConfig, SearchConfig
from expertrag.config.request import FilesConfig, RequestConfig
from expertrag.config.service import (
    AuditConfig,
    AuthConfig,
    CollectionsConfig,
    LogConfig,
    QuotaConfig,
    ReplicaConfig,
    ServiceConfig,
    TlsConfig,
)
from expertrag.config.setting import Setting, invalid, option, setting_of, validate


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
