"""What must hold after any crash, judged from outside: the pipe, the ledger, the server's log, and raw SQL."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["Database", "check_ledger", "check_receipts", "check_requests", "check_usage", "projected"]

Json = dict[str, Any]

#: The worker's tools that must not be repeated.
SIDE_EFFECTING = ("pay", "ship")


class Database:
    """A store's file, read without the store."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement."""
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement, values).fetchall()

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Read every row of every table."""
        tables = [name for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {table: self.rows(f'SELECT * FROM "{table}" ORDER BY 1, 2') for table in tables}

    def nodes(self) -> dict[str, tuple[str | None, str, bytes]]:
        """Read parent, kind and payload of every node."""
        found = self.rows("SELECT node_id, parent, kind, payload FROM node")
        return {_id(node): (_id(parent) if parent else None, kind, payload) for node, parent, kind, payload in found}

    def receipts(self, session: str) -> dict[str, tuple[int, str]]:
        """Read revision and digest of every commit."""
        found = self.rows(
            "SELECT r.commit_id, r.key & 4294967295, r.digest FROM record r JOIN session s ON s.key = r.session "
            "WHERE s.session_id = ?",
            session,
        )
        return {_id(commit): (revision, digest.hex()) for commit, revision, digest in found}

    def records(self, session: str) -> list[Json]:
        """Read the documents of the commits, oldest first."""
        found = self.rows(
            "SELECT r.body FROM record r JOIN session s ON s.key = r.session WHERE s.session_id = ? ORDER BY r.key",
            session,
        )
        return [json.loads(body) for (body,) in found]

    def state(self, session: str) -> Json | None:
        """Read the head's document."""
        found = self.rows("SELECT state FROM session WHERE session_id = ?", session)
        return json.loads(found[0][0]) if found else None

    def path(self, session: str) -> list[tuple[str, Json]]:
        """Walk from the leaf to the root; give kinds and payloads, root first."""
        nodes, steps = self.nodes(), []
        ((leaf,),) = self.rows("SELECT leaf FROM session WHERE session_id = ?", session)
        at: str | None = _id(leaf)
        while at is not None:
            parent, kind, payload = nodes[at]
            steps.append((kind, json.loads(payload)))
            at = parent
        return steps[::-1]

    def results(self, session: str) -> dict[str, Json]:
        """Give the results of the path by the item that their call was about."""
        calls: dict[str, str] = {}
        found: dict[str, Json] = {}
        for kind, payload in self.path(session):
            if kind == "message":
                calls |= {call["call_id"]: call["arguments"]["item"] for call in _calls(payload)}
            elif "result" in payload:
                item = calls[payload["result"]["call_id"]]
                assert item not in found, f"two results for {item}"
                found[item] = payload["result"]
        assert found.keys() == set(calls.values()), "a call has no result"
        return found


def _id(stored: bytes | str) -> str:
    return stored.hex() if isinstance(stored, bytes) else stored


def _text(message: Json) -> str:
    return "".join(part.get("text", "") for part in message.get("parts", ()) if part["kind"] == "text")


def _calls(message: Json) -> list[Json]:
    return [part["call"] for part in message.get("parts", ()) if part["kind"] == "tool_call"]


def check_receipts(database: Database, session: str, lines: Iterable[Json]) -> int:
    """Find every commit that a process was told of, unchanged; give their number."""
    nodes, receipts, count = database.nodes(), database.receipts(session), 0
    for line in lines:
        if "receipt" not in line:
            continue
        count += 1
        assert receipts[line["receipt"]] == (line["revision"], line["digest"])
        for node_id, parent, kind, digest in line["nodes"]:
            stored_parent, stored_kind, payload = nodes[node_id]
            assert (stored_parent, stored_kind, hashlib.sha256(payload).hexdigest()) == (parent, kind, digest)
    return count


def projected(path: Iterable[tuple[str, Json]]) -> list[Json]:
    """Give the conversation as the server must see it: each result behind its call, in the calls' order."""
    messages = [(kind, payload) for kind, payload in path if kind == "message"]
    results = {payload["result"]["call_id"]: payload["result"] for kind, payload in path if kind != "message"}
    seen: list[Json] = []
    for _, message in messages:
        calls = _calls(message)
        seen.append({"role": message["role"], "text": _text(message), "calls": [call["call_id"] for call in calls]})
        seen += [{"role": "tool", "of": call["call_id"], "text": results[call["call_id"]]["output"]} for call in calls]
    return seen


def check_requests(bodies: list[Json], statuses: list[int], path: list[tuple[str, Json]]) -> None:
    """Each request was accepted, and the last one held the whole conversation but its own answer, in order."""
    assert statuses == [200] * len(statuses)
    *before, answer = path
    assert answer[0] == "message"
    asked = []
    for message in bodies[-1]["messages"]:
        if message["role"] == "tool":
            asked.append({"role": "tool", "of": message["tool_call_id"], "text": message["content"]})
        elif message["role"] != "system":
            calls = [call["id"] for call in message.get("tool_calls") or ()]
            asked.append({"role": message["role"], "text": message.get("content") or "", "calls": calls})
    assert asked == projected(before)


def check_ledger(ledger: Path, results: dict[str, Json]) -> None:
    """No call with side effects began twice; one that did not finish is marked; what succeeded has finished."""
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    count = Counter(lines)
    for line, times in count.items():
        what, name, item = line.split()
        if name in SIDE_EFFECTING:
            assert times == 1, f"{line} came {times} times"
            if what == "begin" and f"end {name} {item}" not in count:
                assert results[item]["status"] == "outcome_unknown"
    for item, result in results.items():
        if result.get("status", "ok") == "ok":
            assert count[f"end {result['tool']} {item}"] >= 1
        elif result["status"] == "interrupted":
            assert result["tool"] not in SIDE_EFFECTING or count[f"begin {result['tool']} {item}"] == 0


def check_usage(database: Database, session: str, requests: int, crashes: int) -> int:
    """The ledger is the sum over the responses on the path, each once; give the number of unknown ones.

    The server's n-th answer reports 2**n input tokens and names n, so a sum tells which answers are in it.
    """
    numbers = []
    for kind, payload in database.path(session):
        if kind == "message" and payload["role"] == "assistant":
            calls = _calls(payload)
            numbers.append(int(calls[0]["call_id"].split("-")[1] if calls else _text(payload).split("#")[1]))
    assert len(set(numbers)) == len(numbers)
    state = database.state(session)
    assert state is not None
    [row] = state["usage"]
    assert row["usage"]["input_tokens"] == sum(2**number for number in numbers)
    assert row["calls"] == len(numbers)
    deltas = [row for record in database.records(session) for row in record.get("usage", ())]
    for name in ("calls", "unknown_calls"):
        assert row.get(name, 0) == sum(delta.get(name, 0) for delta in deltas)
    unknown: int = row.get("unknown_calls", 0)
    assert unknown <= crashes
    assert requests - len(numbers) <= crashes
    return unknown
