"""Errors of the document store.

    IndexStoreError
    ├── StoreNotFoundError      no store at that path
    ├── StoreCorruptError       a checksum, a row hash or the database does not hold
    ├── StoreFormatError        written by a newer version of ExpertRAG
    ├── StoreLockedError        another process is writing
    ├── EmbedderMismatchError   the store was built with another embedder
    ├── FilterError             unknown field or operator in a metadata filter
    ├── SearchError             a query vector or k that cannot be searched
    ├── DocumentError           a document that cannot be stored
    └── StorageFullError        no space left while writing; nothing was published

Every message is one line and says what to do.
"""


class IndexStoreError(Exception):
    """Root of the errors that the store raises."""


class StoreNotFoundError(IndexStoreError):
    """No store at that path."""


class StoreCorruptError(IndexStoreError):
    """A checksum, a row hash or the database does not hold."""


class StoreFormatError(IndexStoreError):
    """The store was written by a newer version of ExpertRAG."""


class StoreLockedError(IndexStoreError):
    """Another process is writing to the store."""


class EmbedderMismatchError(IndexStoreError):
    """The store was built with another embedder."""


class FilterError(IndexStoreError):
    """Unknown field or operator in a metadata filter."""


class SearchError(IndexStoreError):
    """A query vector or a k that cannot be searched."""


class DocumentError(IndexStoreError):
    """A document that cannot be stored."""


class StorageFullError(IndexStoreError):
    """No space left while writing; the last published generation is untouched."""
