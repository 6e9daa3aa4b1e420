"""Check a data set: corpus, queries, judgements, and their consistency."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from expertrag.api.errors import NotFound
from expertrag_lab.data.datasets import is_questions_only, query_fault
from expertrag_lab.data.qrels import parse_judgement, splits
from expertrag_lab.eval.checks.findings import Findings, Ids
from expertrag_lab.json_lines import find_file


def check_dataset(folder: Path, findings: Findings) -> Mapping[str, int]:
    """Find the faults of a data set; return the numbers of items read."""
    if is_questions_only(folder):
        queries, _ = _queries(folder, findings)
        findings.note(folder, "questions without documents; evaluate them with --index STORE")
        return {"documents": 0, "queries": len(queries or ()), "judgements": 0}
    documents = _corpus(folder, findings)
    queries, unanswerable = _queries(folder, findings)
    names = splits(folder)
    if not names:
        findings.fault(
            folder / "qrels", None, "is missing: add qrels/SPLIT.tsv (query-id, corpus-id, score)"
        )
    judged = {name: _qrels(folder, name, documents, queries, findings) for name in names}
    for a, b in combinations(judged, 2):
        if common := judged[a].keys() & judged[b].keys():
            findings.note(folder / "qrels", f"{a} and {b} share {len(common):,} queries")
    if queries is not None and names:
        known = unanswerable.union(*judged.values())
        if without := sum(query not in known for query in queries):
            findings.note(folder / "qrels", f"{without:,} queries have no judgement in any split")
    if unanswerable:
        message = f"{len(unanswerable):,} questions without an answer in the corpus"
        findings.note(folder / "queries.jsonl", message)
    return {
        "documents": len(documents or ()),
        "queries": len(queries or ()),
        "judgements": sum(sum(counts.values()) for counts in judged.values()),
    }


def _corpus(folder: Path, findings: Findings) -> Ids | None:
    path = _existing(folder / "corpus.jsonl", findings)
    if path is None:
        return None
    ids = Ids(path, findings)
    for number, item in findings.objects(path):
        identifier, text, title = item.get("_id"), item.get("text"), item.get("title", "")
        if isinstance(identifier, str) and identifier:
            ids.add(identifier, number)
        else:
            findings.fault(path, number, "has no _id")
        if not isinstance(text, str) or not text.strip():
            findings.fault(path, number, "has no text")
        if not isinstance(title, str):
            findings.fault(path, number, "has a title that is not a string")
    return ids


def _queries(folder: Path, findings: Findings) -> tuple[Ids | None, set[str]]:
    """Check the queries; return their ids, and the ids of unanswerable questions."""
    path = _existing(folder / "queries.jsonl", findings)
    if path is None:
        return None, set()
    ids = Ids(path, findings)
    unanswerable = set()
    for number, item in findings.objects(path):
        if fault := query_fault(item):
            findings.fault(path, number, fault)
        if isinstance(item.get("_id"), str):
            ids.add(item["_id"], number)
            if item.get("answers") == []:
                unanswerable.add(item["_id"])
    return ids, unanswerable


def _qrels(
    folder: Path, split: str, documents: Ids | None, queries: Ids | None, findings: Findings
) -> dict[str, int]:
    """Check the judgements of a split; return the number of judgements of each query."""
    path = find_file(folder / "qrels" / f"{split}.tsv")
    text = (findings.content(path) or b"").decode("utf-8", "replace")
    judged: dict[str, int] = {}
    relevant: set[str] = set()
    seen: dict[tuple[str, str], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if (number == 1 and line.startswith("query-id\t")) or not line.strip():
            continue
        try:
            query, document, grade = parse_judgement(line)
        except ValueError as error:
            findings.fault(path, number, str(error))
            continue
        judged[query] = judged.get(query, 0) + 1
        relevant |= {query} if grade > 0 else set()
        if (first := seen.setdefault((query, document), number)) != number:
            findings.fault(path, number, f"judges the query and document of line {first} again")
        if queries is not None and query not in queries:
            findings.fault(path, number, f"names the query {query!r}, which is not in queries")
        if documents is not None and document not in documents:
            findings.fault(
                path, number, f"names the document {document!r}, which is not in the corpus"
            )
    if not judged:
        findings.fault(path, None, "contains no judgement: the split is empty")
    if nothing := len(judged.keys() - relevant):
        findings.note(path, f"{nothing:,} judged queries have no relevant document")
    return judged


def _existing(path: Path, findings: Findings) -> Path | None:
    try:
        return find_file(path)
    except NotFound:
        findings.fault(path, None, f"is missing, and so is {path.name}.gz")
        return None
