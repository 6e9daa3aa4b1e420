"""A server for tests with Qdrant's own engine (the package qdrant-edge-py, in Rust) behind HTTP.

It answers the part of Qdrant's REST API that the store uses, as Qdrant 1.17 does; there is no
package with the server itself. To run it by hand, and all conformance tests against it:

    python tests/qdrant_server.py 6333 FOLDER
    EXPERTRAG_TEST_QDRANT=http://127.0.0.1:6333 pytest tests/index/engines
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import qdrant_edge as edge

JSON = dict[str, Any]


class RequestError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class EdgeCollection:
    """One collection."""

    def __init__(self, path: Path, body: JSON) -> None:
        vectors, hnsw = body["vectors"], body["hnsw_config"]
        assert vectors["distance"] == "Dot"
        assert vectors["datatype"] == "float16"
        path.mkdir(parents=True)
        self.body = body
        self.schema: dict[str, str] = {}
        self.shard = edge.EdgeShard.create(
            str(path),
            edge.EdgeConfig(
                edge.EdgeVectorParams(
                    vectors["size"],
                    edge.Distance.Dot,
                    datatype=edge.VectorStorageDatatype.Float16,
                ),
                hnsw_config=edge.HnswIndexConfig(hnsw["m"], hnsw["ef_construct"], 10_000),
                wal_enabled=False,
            ),
        )

    def info(self) -> JSON:
        schema = {
            name: {"data_type": kind, "points": 0} for name, kind in sorted(self.schema.items())
        }
        optimizer = {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000}
        optimizer |= {"default_segment_number": 0, "flush_interval_sec": 5}
        hnsw = {**self.body["hnsw_config"], "full_scan_threshold": 10_000}
        config = {"params": {"vectors": self.body["vectors"]}, "hnsw_config": hnsw}
        return {
            "status": "green",
            "optimizer_status": "ok",
            "segments_count": 1,
            "config": {**config, "optimizer_config": optimizer},
            "payload_schema": schema,
        }

    def index(self, body: JSON) -> JSON:
        kind = body["field_schema"]["type"]
        types = {
            "keyword": edge.PayloadSchemaType.Keyword,
            "integer": edge.PayloadSchemaType.Integer,
            "float": edge.PayloadSchemaType.Float,
        }
        name = body["field_name"]
        self._update(edge.UpdateOperation.create_field_index(name, types[kind]))
        self.schema[name] = kind
        return {"operation_id": 0, "status": "completed"}

    def upsert(self, body: JSON) -> JSON:
        if "batch" in body:
            batch = body["batch"]
            columns = zip(batch["ids"], batch["vectors"], batch["payloads"], strict=True)
            points = [edge.Point(*row) for row in columns]
        else:
            points = [
                edge.Point(each["id"], each["vector"], each["payload"]) for each in body["points"]
            ]
        return self._update(edge.UpdateOperation.upsert_points(points))

    def vectors(self, body: JSON) -> JSON:
        points = [edge.PointVectors(each["id"], each["vector"]) for each in body["points"]]
        return self._update(edge.UpdateOperation.update_vectors(points))

    def payload(self, body: JSON) -> JSON:
        chosen = filter_of(body["filter"])
        return self._update(edge.UpdateOperation.set_payload_by_filter(chosen, body["payload"]))

    def delete(self, body: JSON) -> JSON:
        if "points" in body:
            return self._update(edge.UpdateOperation.delete_points(body["points"]))
        chosen = filter_of(body["filter"])
        return self._update(edge.UpdateOperation.delete_points_by_filter(chosen))

    def _update(self, operation: edge.UpdateOperation) -> JSON:
        self.shard.update(operation)
        return {"operation_id": 0, "status": "completed"}

    def retrieve(self, body: JSON) -> list[JSON]:
        wanted = body.get("with_payload") or False, body.get("with_vector") or False
        return [record(each) for each in self.shard.retrieve(body["ids"], *wanted)]

    def scroll(self, body: JSON) -> JSON:
        request = edge.ScrollRequest(
            offset=body.get("offset"),
            limit=body["limit"],
            filter=some_filter(body),
            with_payload=body.get("with_payload", False),
            with_vector=body.get("with_vector", False),
        )
        points, offset = self.shard.scroll(request)
        return {"points": [record(each) for each in points], "next_page_offset": offset}

    def count(self, body: JSON) -> JSON:
        chosen = some_filter(body)
        return {"count": self.shard.count(edge.CountRequest(body.get("exact", True), chosen))}

    def query(self, body: JSON) -> JSON:
        params = body["params"]
        request = edge.QueryRequest(
            limit=body["limit"],
            query=edge.Query.Nearest(body["query"]["nearest"]),
            filter=some_filter(body),
            params=edge.SearchParams(hnsw_ef=params.get("hnsw_ef"), exact=params["exact"]),
            with_payload=False,
            with_vector=False,
        )
        found = self.shard.query(request)
        return {"points": [{**record(each), "version": 0, "score": each.score} for each in found]}

    def facet(self, body: JSON) -> JSON:
        assert self.schema[body["key"]] == "keyword"  # as Qdrant demands
        chosen = some_filter(body)
        request = edge.FacetRequest(body["key"], body["limit"], body["exact"], chosen)
        return {
            "hits": [
                {"value": each.value, "count": each.count}
                for each in self.shard.facet(request).hits
            ]
        }


def record(point: Any) -> JSON:
    return {"id": point.id, "payload": point.payload, "vector": point.vector}


def some_filter(body: JSON) -> edge.Filter | None:
    return filter_of(body["filter"]) if body.get("filter") else None


def filter_of(body: JSON) -> edge.Filter:
    assert set(body) <= {"must", "must_not"}, body
    must = [condition(each) for each in body.get("must") or []]
    must_not = [condition(each) for each in body.get("must_not") or []]
    return edge.Filter(must=must or None, must_not=must_not or None)


def condition(body: JSON) -> Any:
    body = {name: value for name, value in body.items() if value is not None}
    if "has_id" in body:
        return edge.HasIdCondition(set(body["has_id"]))
    if "match" in body:
        return edge.FieldCondition(body["key"], match=edge.MatchAny(body["match"]["any"]))
    assert set(body) == {"key", "range"}, body
    return edge.FieldCondition(body["key"], range=edge.RangeFloat(**body["range"]))


class EdgeServer(ThreadingHTTPServer):
    """The server; ``url`` is its address.

    ``left``: after so many requests it answers no more, as if it, or its client, had been killed.
    ``instead``: what it answers to every request, if it is not to be Qdrant.
    ``delay_s``: how long it waits before each answer.
    """

    daemon_threads = True
    left: int | None = None
    instead: bytes | None = None
    delay_s = 0.0
    version = "1.17.0"

    def __init__(self, folder: Path, port: int = 0, api_key: str = "") -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.folder = folder
        self.api_key = api_key
        self.collections: dict[str, EdgeCollection] = {}
        self.changing = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def count(self) -> None:
        """Count a request.

        :raises RequestError: it comes after the last one that is answered.
        """
        if self.left is not None:
            if self.left == 0:
                raise RequestError(503, "the service is down")
            self.left -= 1

    def collection(self, name: str) -> EdgeCollection:
        if name not in self.collections:
            raise RequestError(404, f"Not found: Collection `{name}` doesn't exist!")
        return self.collections[name]

    def create(self, name: str, body: JSON) -> bool:
        if name in self.collections:
            raise RequestError(409, f"Wrong input: Collection `{name}` already exists!")
        self.collections[name] = EdgeCollection(self.folder / name, body)
        return True

    def drop(self, name: str) -> bool:
        found = self.collections.pop(name, None)
        if found:
            found.shard.close()
            shutil.rmtree(self.folder / name)
        return found is not None


def about_collections(server: EdgeServer, method: str, path: str, body: JSON) -> Any:
    if path == "/collections":
        return {"collections": [{"name": name} for name in server.collections]}
    name, _, rest = path.removeprefix("/collections/").partition("/")
    if rest == "exists":
        return {"exists": name in server.collections}
    if rest:
        return about_points(server.collection(name), method, rest, body)
    if method == "PUT":
        return server.create(name, body)
    if method == "DELETE":
        return server.drop(name)
    return server.collection(name).info()


def about_points(collection: EdgeCollection, method: str, path: str, body: JSON) -> Any:
    answers: dict[tuple[str, str], Callable[[JSON], Any]] = {
        ("PUT", "index"): collection.index,
        ("PUT", "points"): collection.upsert,
        ("POST", "points"): collection.retrieve,
        ("PUT", "points/vectors"): collection.vectors,
        ("POST", "points/payload"): collection.payload,
        ("POST", "points/delete"): collection.delete,
        ("POST", "points/scroll"): collection.scroll,
        ("POST", "points/count"): collection.count,
        ("POST", "points/query"): collection.query,
        ("POST", "facet"): collection.facet,
    }
    return answers[method, path](body)


class Handler(BaseHTTPRequestHandler):
    """Answers requests."""

    server: EdgeServer
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        path = urlsplit(self.path).path
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.server.api_key and self.headers.get("api-key") != self.server.api_key:
                raise RequestError(401, "Must provide an API key or an Authorization bearer token")
            time.sleep(self.server.delay_s)
            with self.server.changing:
                self.server.count()
                result = self.result(path, json.loads(text) if text else {})
            self.reply(200, json.dumps(result).encode())
        except RequestError as error:
            self.refuse(error.status, str(error))
        except Exception as error:  # the engine refuses
            self.refuse(400, repr(error))

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def result(self, path: str, body: JSON) -> JSON:
        if path == "/":
            return {"title": "qdrant - vector search engine", "version": self.server.version}
        found = about_collections(self.server, self.command, path, body)
        return {"result": found, "status": "ok", "time": 0.0}

    def refuse(self, status: int, message: str) -> None:
        self.reply(status, json.dumps({"status": {"error": message}, "time": 0.0}).encode())

    def reply(self, status: int, data: bytes) -> None:
        data = data if self.server.instead is None else self.server.instead
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has waited long enough
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def edge_server(folder: Path, api_key: str = "") -> Iterator[EdgeServer]:
    """Run a server, which ends with the block."""
    with EdgeServer(folder, api_key=api_key) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            for name in list(server.collections):
                server.drop(name)


if __name__ == "__main__":
    with EdgeServer(Path(sys.argv[2]), int(sys.argv[1])) as running:
        running.serve_forever()
