"""Configuration: flag over environment (``EXPERTRAG_…``) over TOML file over default.

schema.py   all settings, in sections
models.py   the sections of the models, the gate and the search: defaults, ranges, help
service.py  the sections of a server
request.py  the sections of requests and of files
lab.py      the section of research
setting.py  one key: its names, and its check
moved.py    keys that have a new name
adapters.py the line that names adapters and their folders
loading.py  merges the sources; unknown keys are errors
render.py   prints the effective values with their origins, and the table of the page config.md
"""

from expertrag.config.adapters import adapters_of
from expertrag.config.lab import CANONICAL, TOGETHER, LabConfig
from expertrag.config.loading import CONFIG_ENV, Loaded, load, setting_called
from expertrag.config.models import (
    AUTO_EMBEDDER,
    AUTO_GATE,
    AUTO_GENERATOR,
    AUTO_PROBE,
    AUTO_READER,
    AUTO_RERANKER,
    NO_PROBE,
    NO_READER,
    NO_RERANKER,
    ON_RERANKER,
    TRAINING_FREE,
    GateConfig,
    ModelConfig,
    RerankConfig,
    SearchConfig,
    needs_fitted_gate,
)
from expertrag.config.render import render, table
from expertrag.config.request import FilesConfig, RequestConfig
from expertrag.config.schema import Config, settings
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
    "FilesConfig",
    "GateConfig",
    "LabConfig",
    "Loaded",
    "LogConfig",
    "ModelConfig",
    "QuotaConfig",
    "ReplicaConfig",
    "RequestConfig",
    "RerankConfig",
    "SearchConfig",
    "ServiceConfig",
    "Setting",
    "TlsConfig",
    "adapters_of",
    "load",
    "needs_fitted_gate",
    "render",
    "setting_called",
    "settings",
    "table",
]
