"""Configuration: flag over environment (``EXPERTRAG_…``) over TOML file over default.

schema.py   the dataclasses: defaults, ranges, help
setting.py  one key: its names, and its check
adapters.py the line that names adapters and their folders
loading.py  merges the sources; unknown keys are errors
render.py   prints the effective values with their origins, and the table of the page config.md
"""

from expertrag.config.adapters import adapters_of
from expertrag.config.loading import CONFIG_ENV, Loaded, load
from expertrag.config.render import render, table
from expertrag.config.schema import (
    AUTO_EMBEDDER,
    AUTO_GATE,
    AUTO_GENERATOR,
    AUTO_PROBE,
    AUTO_READER,
    AUTO_RERANKER,
    CANONICAL,
    NO_PROBE,
    NO_READER,
    NO_RERANKER,
    ON_RERANKER,
    TOGETHER,
    TRAINING_FREE,
    AuditConfig,
    AuthConfig,
    CollectionsConfig,
    Config,
    GateConfig,
    LogConfig,
    ModelConfig,
    QuotaConfig,
    ReplicaConfig,
    RerankConfig,
    SearchConfig,
    ServiceConfig,
    TlsConfig,
    needs_fitted_gate,
    settings,
)
from expertrag.config.setting import ENV_PREFIX, Setting

__all__ = [
    "AUTO_EMBEDDER",
    "AUTO_GATE",
    "AUTO_GENERATOR",
    "AUTO_PROBE",
    "AUTO_READER",
    "AUTO_RERANKER",
    "CANONICAL",
    "CONFIG_ENV",
    "ENV_PREFIX",
    "NO_PROBE",
    "NO_READER",
    "NO_RERANKER",
    "ON_RERANKER",
    "TOGETHER",
    "TRAINING_FREE",
    "AuditConfig",
    "AuthConfig",
    "CollectionsConfig",
    "Config",
    "GateConfig",
    "Loaded",
    "LogConfig",
    "ModelConfig",
    "QuotaConfig",
    "ReplicaConfig",
    "RerankConfig",
    "SearchConfig",
    "ServiceConfig",
    "Setting",
    "TlsConfig",
    "adapters_of",
    "load",
    "needs_fitted_gate",
    "render",
    "settings",
    "table",
]
