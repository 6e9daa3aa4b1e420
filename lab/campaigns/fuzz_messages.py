"""Valid messages of every method, and ways to damage messages and metadata."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from expertrag.serving.core.scopes import SCOPES
from expertrag.v1 import (
    adapter_pb2,
    answer_pb2,
    audit_pb2,
    collection_pb2,
    conversation_pb2,
    document_pb2,
    embed_pb2,
    gate_pb2,
    index_pb2,
    info_pb2,
    rerank_pb2,
    retrieve_pb2,
)

WORDS = ("roses", "checkpoint", "codename", "leave", "the", "plan", "\u00e9t\u00e9", "x" * 300, "?")
CONSTRAINTS = (
    answer_pb2.Constraint(regex="[0-9 ]+"),
    answer_pb2.Constraint(choices=answer_pb2.Choices(values=["yes", "no"])),
    answer_pb2.Constraint(json_schema='{"type": "object", "required": ["a"]}'),
    answer_pb2.Constraint(grammar='start: "a" | "b"'),
)
FILTERS: tuple[dict[str, Any], ...] = (
    {"domain": "garden"},
    {"domain": {"$in": ["garden", "office"]}},
    {"year": {"$gte": 2020}},
    {"$or": [{"domain": "garden"}, {"none": 1}]},
)
PAGE_TOKENS = ("", "", "WyJ4Il0=", "W10=", "W1tb", "bnVsbA==", "\u00e9", "=" * 40)
HUGE_VARINT = b"\xff" * 9 + b"\x01"
_TAILS = (
    b"\x08" + HUGE_VARINT,  # a field with the largest number
    b"\x12\xff\xff\xff\xff\x0f",  # a length of 4 GiB
    b"\x0a\xff\xff\xff\x7f",  # a length of 256 MiB
    b"\x0b" * 20,  # groups that do not end
    b"\x0a\x03\xed\xa0\x80",  # a surrogate, which is not UTF-8
    b"\xff" * 9,
    b"\x07\x00",  # a wire type that does not exist
)


def text(rng: random.Random) -> str:
    """Return some words."""
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 6)))


def _filter(rng: random.Random) -> Struct | None:
    if rng.random() < 0.5:
        return None
    made = Struct()
    made.update(rng.choice(FILTERS))
    return made


def _collection(rng: random.Random) -> str:
    names = ("", "", "", "default", "wiki", "globex/default", "acme/default", "../acme/default")
    return rng.choice(names)


def _id(rng: random.Random) -> str:
    return rng.choice(("equal", "secret", "roses", "none", f"fuzz{rng.randint(0, 9)}"))


def _question(rng: random.Random) -> answer_pb2.Question:
    sampling = answer_pb2.Sampling(
        max_tokens=rng.randint(1, 8),
        temperature=rng.random() * 2,
        seed=rng.randint(-9, 9),
        stop=["a", "b"],
        frequency_penalty=rng.random(),
        logprobs=rng.randint(0, 3),
        constraint=rng.choice((None, None, None, *CONSTRAINTS)),
    )
    return answer_pb2.Question(
        text=text(rng),
        policy=gate_pb2.GatePolicy(mode=rng.randint(0, 4), threshold=rng.random()),  # type: ignore[arg-type]
        k=rng.randint(1, 6),
        filter=_filter(rng),
        domain=rng.choice((None, "garden")),
        sampling=sampling,
        steps=rng.randint(1, 2),
        history=_history(rng),
    )


def _history(rng: random.Random) -> list[conversation_pb2.Turn]:
    return [
        conversation_pb2.Turn(role=rng.randint(0, 3), text=text(rng))  # type: ignore[arg-type]
        for _ in range(rng.choice((0, 0, 0, 1, 2, 6)))
    ]


def _replay(rng: random.Random) -> audit_pb2.ReplayRequest:
    made = audit_pb2.ReplayRequest(collection=_collection(rng))
    if rng.random() < 0.8:
        setattr(made, rng.choice(("threshold", "target_rate")), 2 * rng.random() - 0.2)
    return made


def _document(rng: random.Random) -> index_pb2.Document:
    metadata = Struct()
    metadata.update({"number": rng.randint(0, 9), "word": rng.choice(WORDS)})
    return index_pb2.Document(
        id=f"fuzz{rng.randint(0, 9)}", text=text(rng), title="t", domain="fuzz", metadata=metadata
    )


MAKERS: Mapping[str, tuple[int, Callable[[random.Random], Message]]] = {
    "AnswerService/Answer": (
        20,
        lambda rng: answer_pb2.AnswerRequest(question=_question(rng), collection=_collection(rng)),
    ),
    "AnswerService/StreamAnswer": (
        14,
        lambda rng: answer_pb2.StreamAnswerRequest(
            question=_question(rng), collection=_collection(rng)
        ),
    ),
    "RetrieveService/Retrieve": (
        20,
        lambda rng: retrieve_pb2.RetrieveRequest(
            query=text(rng),
            k=rng.randint(1, 50),
            filter=_filter(rng),
            mode=rng.randint(0, 3),  # type: ignore[arg-type]
            rerank=rng.randint(0, 3),  # type: ignore[arg-type]
            collection=_collection(rng),
            history=_history(rng),
        ),
    ),
    "GateService/Decide": (
        10,
        lambda rng: gate_pb2.DecideRequest(
            query=text(rng),
            domain="garden",
            collection=_collection(rng),
            history=_history(rng),
        ),
    ),
    "GateService/ReportFeedback": (
        6,
        lambda rng: gate_pb2.ReportFeedbackRequest(
            answer_id=f"{rng.getrandbits(128):032x}", helpful=True, correct_answer=text(rng)
        ),
    ),
    "EmbedService/Embed": (
        8,
        lambda rng: embed_pb2.EmbedRequest(
            texts=[text(rng), text(rng)],
            role="EMBED_ROLE_DOCUMENT",
            collection=_collection(rng),
        ),
    ),
    "RerankService/Rerank": (
        6,
        lambda rng: rerank_pb2.RerankRequest(
            query=text(rng),
            texts=[text(rng), text(rng)],
            truncate=rng.random() < 0.5,
            raw_scores=rng.random() < 0.5,
            return_text=rng.random() < 0.5,
        ),
    ),
    "DocumentService/GetDocument": (
        4,
        lambda rng: document_pb2.GetDocumentRequest(
            id=_id(rng),
            start=rng.randint(0, 9),
            end=rng.choice((None, 5, 50)),
            collection=_collection(rng),
        ),
    ),
    "DocumentService/ListDocuments": (
        4,
        lambda rng: document_pb2.ListDocumentsRequest(
            filter=_filter(rng),
            order=rng.randint(0, 4),  # type: ignore[arg-type]
            page_size=rng.choice((None, 1, 3)),
            page_token=rng.choice(PAGE_TOKENS),
            collection=_collection(rng),
        ),
    ),
    "DocumentService/ListChunks": (
        4,
        lambda rng: document_pb2.ListChunksRequest(
            id=_id(rng), page_token=rng.choice(PAGE_TOKENS), collection=_collection(rng)
        ),
    ),
    "DocumentService/ListSkipped": (
        4,
        lambda rng: document_pb2.ListSkippedRequest(
            page_size=rng.choice((None, 1, 3)),
            page_token=rng.choice(PAGE_TOKENS),
            collection=_collection(rng),
        ),
    ),
    "IndexService/Upsert": (
        2,
        lambda rng: index_pb2.UpsertRequest(
            document=_document(rng), collection=_collection(rng), idempotency_key=rng.choice("abc")
        ),
    ),
    "IndexService/Delete": (
        3,
        lambda rng: index_pb2.DeleteRequest(
            ids=[f"fuzz{rng.randint(0, 9)}", "none"], collection=_collection(rng)
        ),
    ),
    "IndexService/Stats": (4, lambda rng: index_pb2.StatsRequest(collection=_collection(rng))),
    "InfoService/Info": (4, lambda rng: info_pb2.InfoRequest(collection=_collection(rng))),
    "AuditService/Replay": (2, _replay),
    "AuditService/ListQuestions": (
        2,
        lambda rng: audit_pb2.ListQuestionsRequest(
            limit=rng.choice((None, 0, 1, 9)), collection=_collection(rng)
        ),
    ),
    "AuditService/CountExperts": (
        2,
        lambda rng: audit_pb2.CountExpertsRequest(
            periods=rng.choice((None, 0, 1, 9)), collection=_collection(rng)
        ),
    ),
    "CollectionService/ListCollections": (
        5,
        lambda rng: collection_pb2.ListCollectionsRequest(
            page_size=rng.randint(0, 3), page_token=rng.choice(("", "default"))
        ),
    ),
    "AdapterService/LoadAdapter": (
        1,
        lambda rng: adapter_pb2.LoadAdapterRequest(name=text(rng), folder=text(rng)),
    ),
    "AdapterService/UnloadAdapter": (
        1,
        lambda rng: adapter_pb2.UnloadAdapterRequest(name=text(rng)),
    ),
    "AdapterService/ListAdapters": (1, lambda _: adapter_pb2.ListAdaptersRequest()),
    "CollectionService/CreateCollection": (
        2,
        lambda rng: collection_pb2.CreateCollectionRequest(name=f"made{rng.randint(0, 3)}"),
    ),
    "CollectionService/DropCollection": (
        2,
        lambda rng: collection_pb2.DropCollectionRequest(name=f"made{rng.randint(0, 3)}"),
    ),
}
"""Makes a valid message of each method; with its weight."""
assert MAKERS.keys() == SCOPES.keys(), "every method is here"


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return a message with one to eight changes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        rng.choice(_CHANGES)(changed, rng)
    return bytes(changed)


def _flip_bit(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_byte(data: bytearray, rng: random.Random) -> None:
    if data:  # also turns a field into one of another type, and a length into another
        data[rng.randrange(len(data))] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _insert(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.choice((HUGE_VARINT, rng.randbytes(rng.randint(1, 12))))


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randint(0, len(data)) :]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    data[start:start] = data[start : start + rng.randint(1, 60)] * rng.choice((1, 1, 50))


def _remove(data: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    del data[start : start + rng.randint(1, 9)]


def _twice(data: bytearray, rng: random.Random) -> None:
    data += bytes(data)  # every field is there twice


def _extend(data: bytearray, rng: random.Random) -> None:
    data += rng.choice(_TAILS)


_CHANGES = (_flip_bit, _flip_bit, _set_byte, _insert, _truncate, _repeat, _remove, _twice, _extend)

Metadata = list[tuple[str, str | bytes]]


def metadata(rng: random.Random) -> Metadata:
    """Return metadata that a client may send beside its token."""
    printable = string.printable[:95]
    found: Metadata = []
    for _ in range(rng.randint(0, 3)):
        value = "".join(rng.choices(printable, k=rng.choice((0, 1, 20, 200))))
        found.append(
            rng.choice(
                (
                    ("x-request-id", value),
                    ("traceparent", value),
                    ("grpc-retry-pushback-ms", value),
                    ("grpc-previous-rpc-attempts", value),
                    ("x-random-bin", rng.randbytes(rng.randint(0, 200))),
                    ("".join(rng.choices(string.ascii_lowercase, k=9)), value),
                )
            )
        )
    return found


def wrong_authorization(valid: str, rng: random.Random) -> str:
    """Return the value of an ``authorization`` header that must not be accepted."""
    middle = len(valid) // 2
    other = "A" if valid[middle] != "A" else "B"
    return rng.choice(
        (
            "",
            "Bearer",
            "Bearer ",
            valid,  # without its scheme
            f"Basic {valid}",
            f"Bearer Bearer {valid}",
            f"Bearer {valid[:-1]}",
            f"Bearer {valid}A",
            f"Bearer {valid[:middle]}{other}{valid[middle + 1 :]}",
            f"Bearer {valid.upper()}",
            f"Bearer {valid},{valid}",
            "Bearer " + "A" * 9_000,
            "Bearer ert_aaaaaaaaaa_" + "A" * 43,
            "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
            "Bearer a.b.c",
            "Bearer " + "".join(rng.choices(string.printable[:95], k=60)),
        )
    )
