"""The routes of the console; everything but the page itself needs the caller's token."""

from __future__ import annotations

from starlette.routing import Route

from expertrag.serving.http.console import answering, decisions, stored
from expertrag.serving.http.console.page import page_routes


def console_routes() -> list[Route]:
    """Return the routes of the page and of its API."""
    posts = {
        "answer": answering.answer,
        "decide": answering.decide,
        "retrieve": answering.retrieve,
        "feedback": answering.feedback,
        "decisions/replay": decisions.replay,
        "decisions/questions": decisions.questions,
        "decisions/experts": decisions.experts,
        "stats": stored.stats,
        "documents/list": stored.list_documents,
        "documents/text": stored.text,
        "documents/chunks": stored.chunks,
        "documents/skipped": stored.list_skipped,
        "documents/upsert": stored.upsert,
        "documents/delete": stored.delete,
    }
    return [
        *page_routes(),
        Route("/api/info", stored.info),
        Route("/api/collections", stored.collections),
        *(Route(f"/api/{path}", handler, methods=["POST"]) for path, handler in posts.items()),
    ]
