"""How nodes are shown: the active path as a conversation, the graph as a tree."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.payloads import Message, ToolInvocation, decode_payload
from lash_hookspecs.records.tools import ToolCall

from lash_core.cli.output import one_line, plain, print_text, timestamp

__all__ = ["node_document", "print_node", "print_tree", "tree_document"]


def node_document(node: Node) -> dict[str, Any]:
    """Give a node as JSON: its row, its payload's fields, and ``text`` for messages."""
    payload = decode_payload(node)
    told = payload.model_dump(mode="json", exclude_none=True) if payload else {"payload": node.payload.decode()}
    row = {
        "node_id": node.node_id,
        "parent_node_id": node.parent_node_id,
        "kind": node.kind,
        "created_at": timestamp(node.timestamp),
    }
    return {**told, **row, **({"text": payload.text} if isinstance(payload, Message) else {})}


def print_node(node: Node) -> None:
    """Print a node in full: a line that says what it is, then its text, indented."""
    payload = decode_payload(node)
    if isinstance(payload, Message):
        turn = f"turn {payload.turn_index}" if payload.turn_index is not None else ""
        _heading(payload.role, turn, payload.marker, node.node_id)
        _body(payload.text)
        for part in payload.attachments:
            _body(f"+ {part.ref.describe()}")
        for call in payload.tool_calls:
            _body(f"→ {_call(call)}")
    elif isinstance(payload, ToolInvocation):
        result = payload.result
        _heading(f"tool {result.tool}", result.status, result.error_code, node.node_id)
        _body(result.output if isinstance(result.output, str) else json.dumps(result.output, ensure_ascii=False))
        for ref in result.attachments:
            _body(f"+ {ref.describe()}")
    else:
        _heading(node.kind, "", None, node.node_id)


def print_tree(nodes: Sequence[Node], leaf: str | None, leaves: Mapping[str, Sequence[str]]) -> None:
    """Print a graph: a chain stays in its column, branches go one to the right."""
    active = _active(nodes, leaf)
    children: dict[str | None, list[Node]] = {}
    known = {node.node_id for node in nodes}
    for node in nodes:
        parent = node.parent_node_id if node.parent_node_id in known else None
        children.setdefault(parent, []).append(node)
    stack = [(node, "") for node in reversed(children.get(None, []))]
    while stack:
        node, indent = stack.pop()
        mark = "*" if node.node_id in active else " "
        sessions = "".join(f"  ← {name}" for name in leaves.get(node.node_id, ()))
        print_text(f"{mark} {indent}{plain(node.node_id)}  {_summary(node)}{plain(sessions)}")
        below = children.get(node.node_id, [])
        deeper = indent if len(below) < 2 else indent + "  "
        stack.extend((child, deeper) for child in reversed(below))


def tree_document(nodes: Sequence[Node], leaf: str | None, leaves: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Give a graph as JSON: one short object per node."""
    active = _active(nodes, leaf)
    return [
        {
            "node_id": node.node_id,
            "parent_node_id": node.parent_node_id,
            "kind": node.kind,
            "summary": _summary(node),
            "active": node.node_id in active,
            "leaf_of": list(leaves.get(node.node_id, ())),
        }
        for node in nodes
    ]


def _active(nodes: Sequence[Node], leaf: str | None) -> set[str]:
    parents = {node.node_id: node.parent_node_id for node in nodes}
    active: set[str] = set()
    while leaf is not None and leaf in parents and leaf not in active:
        active.add(leaf)
        leaf = parents[leaf]
    return active


def _summary(node: Node) -> str:
    payload = decode_payload(node)
    if isinstance(payload, Message):
        calls, files = map(_call, payload.tool_calls), (part.ref.describe() for part in payload.attachments)
        said = payload.text or ", ".join([*calls, *files])
        return one_line(f"{payload.role}: {said}", 72)
    if isinstance(payload, ToolInvocation):
        return one_line(f"tool {payload.result.tool}: {payload.result.status}", 72)
    return one_line(node.kind, 72)


def _call(call: ToolCall) -> str:
    given = call.arguments
    shown = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return f"{call.tool}({shown})"


def _heading(what: str, detail: str | None, marker: str | None, node_id: str) -> None:
    print_text("")
    print_text(f"{' · '.join(part for part in (what, detail, marker) if part)}  [{node_id}]")


def _body(text: str) -> None:
    for line in text.splitlines():
        print_text(f"  {line}")
