"""Errors of retrieval.

    RetrieverError
    ├── DeviceError       the device is not available
    ├── EmbedderError     the embedder cannot be loaded or used
    ├── GateError         no gate can be fitted on these rows, or the gate cannot be used
    ├── OutputTakenError  the output exists, or another run writes it
    ├── QueryError        the query cannot be searched
    ├── RemoteModelError  a model on a server cannot be used
    │   └── RemoteUnavailableError  its server does not answer, or has no capacity
    ├── RerankerError     the reranker cannot be loaded or used
    ├── RouterError       no router can be trained on these texts
    └── TrainingError     no expert can be trained on this data

Every message is one line and says what to do.
"""


class RetrieverError(Exception):
    """Base class of the errors that retrieval raises."""


class DeviceError(RetrieverError):
    """Torch does not know the device, was built without support for it, or does not find it."""


class EmbedderError(RetrieverError):
    """The embedder cannot be loaded: it is missing, damaged or of an unsupported kind."""


class GateError(RetrieverError, ValueError):
    """No gate can be fitted on these rows, or the gate cannot be used here."""


class OutputTakenError(RetrieverError):
    """The folder that a run is to create exists, or another run is writing it."""


class QueryError(RetrieverError, ValueError):
    """The query cannot be searched: it is empty, or k is out of range."""


class RemoteModelError(RetrieverError):
    """A model on a server cannot be used: its name, key or answer is wrong."""


class RemoteUnavailableError(RemoteModelError):
    """The server of a model does not answer, or has no capacity now."""


class RerankerError(RetrieverError):
    """The reranker cannot be loaded: it is missing, damaged or of an unsupported kind."""


class RouterError(RetrieverError, ValueError):
    """No router can be trained on these texts."""


class TrainingError(RetrieverError, ValueError):
    """No expert can be trained on this data; the message says what to add."""
