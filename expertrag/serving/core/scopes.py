"""The scope that each method needs, and the methods that no quota counts."""

from __future__ import annotations

from expertrag.auth import Scope

SCOPES = {
    "AnswerService/Answer": Scope.READ,
    "AnswerService/StreamAnswer": Scope.READ,
    "RetrieveService/Retrieve": Scope.READ,
    "GateService/Decide": Scope.READ,
    "GateService/ReportFeedback": Scope.READ,
    "EmbedService/Embed": Scope.READ,
    "RerankService/Rerank": Scope.READ,
    "DocumentService/GetDocument": Scope.READ,
    "DocumentService/ListDocuments": Scope.READ,
    "DocumentService/ListChunks": Scope.READ,
    "DocumentService/ListSkipped": Scope.READ,
    "IndexService/Stats": Scope.READ,
    "IndexService/Upsert": Scope.WRITE,
    "IndexService/Delete": Scope.WRITE,
    "InfoService/Info": Scope.READ,
    "AuditService/Replay": Scope.ADMIN,
    "AuditService/ListQuestions": Scope.ADMIN,
    "AuditService/CountExperts": Scope.ADMIN,
    "AdapterService/ListAdapters": Scope.READ,
    "AdapterService/LoadAdapter": Scope.ADMIN,
    "AdapterService/UnloadAdapter": Scope.ADMIN,
    "CollectionService/ListCollections": Scope.READ,
    "CollectionService/CreateCollection": Scope.ADMIN,
    "CollectionService/DropCollection": Scope.ADMIN,
}
"""By method, without the package. A test compares it with the services."""

UNCOUNTED = frozenset({"InfoService/Info"})
"""Methods that take nothing of a quota of requests: clients ask whether the server is ready."""
