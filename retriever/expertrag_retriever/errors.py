"""Errors of retrieval.

    RetrieverError
    ├── DeviceError      a device that is not here
    ├── EmbedderError    an embedder that cannot be loaded or used
    ├── GateError        rows that no gate can be fitted on, or a gate that cannot be used
    ├── QueryError       a query that cannot be searched
    ├── RouterError      texts that no router can be trained on
    └── TrainingError    data that no expert can be trained on

Every message is one line and says what to do.
"""


class RetrieverError(Exception):
    """Root of the errors that retrieval raises."""


class DeviceError(RetrieverError):
    """A device that torch does not know, was built without, or does not find."""


class EmbedderError(RetrieverError):
    """An embedder that cannot be loaded: missing, damaged or of another kind."""


class GateError(RetrieverError, ValueError):
    """Rows that no gate can be fitted on, or a gate that cannot be used here."""


class QueryError(RetrieverError, ValueError):
    """A query that cannot be searched: empty, or k out of range."""


class RouterError(RetrieverError, ValueError):
    """Texts that no router can be trained on."""


class TrainingError(RetrieverError, ValueError):
    """Data that no expert can be trained on; the message says what to add."""
