"""Names of models on servers, such as ``openai:http://gpu-1:8000/v1#bge-m3``."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from expertrag_retriever.errors import RemoteModelError

EMBEDDING_APIS = ("openai", "tei", "ollama")
RERANKING_APIS = ("cohere", "tei")

_MODEL_OPTIONAL = "tei"  # a server of it has one model


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model on a server: its API, the URL that paths are added to, and its name there."""

    api: str
    url: str
    model: str

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc


def is_remote(name: str) -> bool:
    """Whether a name is meant for a model on a server; its form may still be wrong."""
    api, colon, _ = name.partition(":")
    return bool(colon) and api in {*EMBEDDING_APIS, *RERANKING_APIS}


def parse_remote(name: str, apis: tuple[str, ...]) -> RemoteModel:
    """Return the model of ``API:URL#MODEL``.

    :param apis: the APIs that serve the kind of model.
    :raises RemoteModelError: the name is not of that form, or holds a password.
    """
    api, _, rest = name.partition(":")
    url, _, model = rest.partition("#")
    parts = urlsplit(url)
    if api not in apis or not parts.netloc or not (model or api == _MODEL_OPTIONAL):
        forms = [f"{api}:URL{'' if api == _MODEL_OPTIONAL else '#MODEL'}" for api in apis]
        raise RemoteModelError(
            f"{_without_password(name)} does not name a model on a server: write "
            f"{', '.join(forms)}, for example {apis[0]}:http://127.0.0.1:8000/v1#my-model"
        )
    if "@" in parts.netloc:
        raise RemoteModelError(
            f"{_without_password(name)} holds a password, and names are stored: give the key in "
            "an environment variable"
        )
    return RemoteModel(api, url.rstrip("/"), model)


def _without_password(name: str) -> str:
    before, at, after = name.rpartition("@")
    return f"{before.partition('//')[0]}//…{at}{after}" if at else name
