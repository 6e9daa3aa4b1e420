"""Errors of the document store.

    IndexStoreError
    ├── StoreNotFoundError      no store at that path
    ├── StoreCorruptError       a checksum or row hash does not match, or the database is damaged
    ├── StoreFormatError        written by a newer version of ExpertRAG
    ├── StoreLockedError        another process is writing
    ├── EmbedderMismatchError   the store was built with another embedder
    ├── ChunkSizeMismatchError  the store has chunks of another length
    ├── FilterError             unknown field or operator in a metadata filter
    ├── SearchError             invalid query vector, k or key
    ├── PatternError            a pattern of file names is invalid
    ├── DocumentError           a document cannot be stored
    ├── SourceListError         a list of sources is invalid
    ├── TooManyRemovalsError    most of a store would be deleted, and nobody has confirmed it
    ├── WorkerError             workers of a build cannot start, fail, or are lost
    ├── EngineError             the engine with the vectors cannot be reached, or refuses
    ├── ReadOnlyReplicaError    the store is a copy, which the next pull replaces
    ├── RemoteUnreachableError  a URL of generations cannot be read or written
    ├── RemoteDamagedError      what is at a URL does not match its checksum
    ├── RemoteConflictError     another store has been pushed to a URL
    └── StorageFullError        no space left while writing; nothing was published

Every message is one line and says what to do.
"""


class IndexStoreError(Exception):
    """Base class of the errors that the store raises."""


class StoreNotFoundError(IndexStoreError):
    """No store at that path."""


class StoreCorruptError(IndexStoreError):
    """A checksum or row hash does not match, or the database is damaged."""


class StoreFormatError(IndexStoreError):
    """The store was written by a newer version of ExpertRAG."""


class StoreLockedError(IndexStoreError):
    """Another process is writing to the store."""


class EmbedderMismatchError(IndexStoreError):
    """The store was built with another embedder."""


class ChunkSizeMismatchError(IndexStoreError):
    """The store has chunks of another length than the one asked for."""


class FilterError(IndexStoreError):
    """Unknown field or operator in a metadata filter."""


class SearchError(IndexStoreError):
    """A query vector, k or key is invalid."""


class PatternError(IndexStoreError):
    """A pattern of file names is invalid."""


class DocumentError(IndexStoreError):
    """A document cannot be stored."""


class SourceListError(IndexStoreError):
    """A list of sources is invalid."""


class TooManyRemovalsError(IndexStoreError):
    """A run would delete most of a store, and nobody has confirmed it."""


class WorkerError(IndexStoreError):
    """Workers of a build cannot start, fail or are lost; what they have embedded is kept."""


class ReadOnlyReplicaError(IndexStoreError):
    """The store is a copy of another one, which the next pull replaces."""


class RemoteUnreachableError(IndexStoreError):
    """A URL that generations are pushed to cannot be read or written."""


class RemoteDamagedError(IndexStoreError):
    """What has been pushed to a URL is incomplete, or does not match its checksum."""


class RemoteConflictError(IndexStoreError):
    """Another store, or another state of this one, has been pushed to a URL."""


class StorageFullError(IndexStoreError):
    """No space left while writing; the last published generation is untouched."""


class EngineError(IndexStoreError):
    """The engine with the vectors cannot be reached, or refuses a request."""
