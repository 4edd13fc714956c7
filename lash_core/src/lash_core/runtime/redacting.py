"""Taking a node's payload out of a store, and what repeats it (S8).

What a model or a tool was told stands in more places than its node: in the events of its commit, in copies that a
rewrite of the history made, in the journal of a turn, in the state of a plugin. A store finds the documents; this
module knows what in them is to go.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
from lash_hookspecs.errors import NodeMissing, SessionBusy, StoreError
from lash_hookspecs.protocols.retention import ArchivedSession, RetainedSession
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.payloads import (
    Message,
    ModeEvent,
    Part,
    Payload,
    PluginNode,
    ReasoningPart,
    StateSnapshot,
    TextPart,
    ToolCallPart,
    ToolInvocation,
    decode_payload,
)
from lash_hookspecs.records.retention import Redaction, RedactReport
from lash_hookspecs.records.store import StreamEntry

from lash_core.runtime.lease import is_live, read_lease

__all__ = ["MARKER", "SHORTEST", "redact_node", "redaction_of"]

#: What stands where something was redacted.
MARKER = "[redacted]"

#: Shorter texts are not looked for elsewhere: they would be found where they mean something else.
SHORTEST = 12

#: Nodes that are read at once.
_WINDOW = 500


async def redact_node(
    backend: StoreBackend, session_id: str, node_id: str, *, who: str, why: str, at: int, dry_run: bool = False
) -> RedactReport:
    """Redact a node of a session, with an audit entry in its store.

    Sessions that share the graph and are open somewhere keep in memory what they have read, until they are opened
    again.

    Args:
        backend: The store.
        session_id: The session; any that shares the graph will do.
        node_id: The node.
        who: Who wants it, for the audit.
        why: The reason, for the audit; it must not repeat what is redacted.
        at: Microseconds since 1970-01-01 UTC.
        dry_run: Change nothing.

    Raises:
        NodeMissing: The graph has no such node.
        SessionBusy: Somebody works on a session that shares the graph: its next commit could bring the text back.
        StoreError: The store has no level ``retention``.
    """
    store = backend.session(session_id)
    if not isinstance(store, RetainedSession) or not isinstance(store, ArchivedSession):
        raise StoreError(f"{backend.name} cannot redact: it does not keep level 'retention'", session_id=session_id)
    for sharer in await store.sharers():
        lease = await read_lease(backend.session(sharer))
        if lease is not None and is_live(lease) and not dry_run:
            raise SessionBusy(
                f"session {sharer!r} shares the graph, and a turn of it runs in {lease.holder.describe()}; wait until "
                "it ends",
                session_id=sharer,
                holder=lease.holder,
            )
    nodes = [node async for node in _all_nodes(store)]
    audit = {"action": "redact", "node_id": node_id, "who": who, "why": why, "at": at}
    entry = StreamEntry(f"redact:{secrets.token_hex(8)}", json.dumps(audit, ensure_ascii=False).encode())
    return await store.redact(redaction_of(session_id, node_id, nodes, entry), dry_run=dry_run)


async def _all_nodes(store: ArchivedSession) -> Any:
    after: str | None = None
    while True:
        page = await store.archive(after=after, limit=_WINDOW)
        for each in page:
            yield each.node
        if len(page) < _WINDOW:
            return
        after = page[-1].node.node_id


def redaction_of(session_id: str, node_id: str, nodes: Iterable[Node], audit: StreamEntry) -> Redaction:
    """Say what a store puts in the place of a node, of its copies, and of what repeats it.

    Raises:
        NodeMissing: It is not among the nodes.
        UnreadableData: Its payload does not fit its kind.
    """
    known = {node.node_id: node for node in nodes}
    if node_id not in known:
        raise NodeMissing(f"session {session_id!r} has no node {node_id!r}", session_id=session_id)
    target = known[node_id]
    payload = decode_payload(target)
    copies = [node for node in known.values() if node is target or _is_copy(target, payload, node)]
    return Redaction(
        node_id=node_id,
        payloads={node.node_id: _marker(decode_payload(node)) for node in copies},
        scrub=_Scrubber.of(payload, target.payload).scrub,
        audit=audit,
    )


def _is_copy(target: Node, payload: Payload | None, node: Node) -> bool:
    """Tell whether a rewrite of the history put a node where the other one stood."""
    if node.kind != target.kind:
        return False
    if isinstance(payload, Message):
        mine = payload.id or target.node_id
        other = decode_payload(node) if mine.encode() in node.payload else None
        return node.node_id == mine or (isinstance(other, Message) and other.id == mine)
    if isinstance(payload, ToolInvocation):
        other = decode_payload(node) if payload.result.call_id.encode() in node.payload else None
        return isinstance(other, ToolInvocation) and other.result.call_id == payload.result.call_id
    return False


def _marker(payload: Payload | None) -> bytes:
    """Encode what stands in a payload's place: the same message, call or result, so the path stays provider-valid."""
    if isinstance(payload, Message):
        parts = tuple(_marked_parts(payload.parts))
        return payload.evolve(parts=parts, marker="redacted").to_bytes()
    if isinstance(payload, ToolInvocation):
        result = payload.result.evolve(output=MARKER, spilled=None, attachments=())
        call = payload.call.evolve(arguments={}) if payload.call is not None else None
        return payload.evolve(result=result, call=call).to_bytes()
    if isinstance(payload, (ModeEvent, StateSnapshot)):
        return payload.evolve(data=None).to_bytes()
    if isinstance(payload, PluginNode):
        return payload.evolve(body=None).to_bytes()
    return json.dumps({"redacted": True}).encode()


def _marked_parts(parts: Iterable[Part]) -> Iterator[Part]:
    yield TextPart(text=MARKER)
    for part in parts:
        if isinstance(part, ToolCallPart):
            yield part.evolve(call=part.call.evolve(arguments={}))


@attrs.frozen
class _Scrubber:
    """Takes out of any JSON document what a payload said.

    Attributes:
        texts: What was said, longest first; taken out wherever a string holds it.
        answered: The call whose result is taken out wherever it stands.
        called: Calls whose arguments are.
        needles: Bytes of which a document that holds any of that has one.
    """

    texts: tuple[str, ...]
    answered: str | None
    called: frozenset[str]
    needles: tuple[bytes, ...]

    @classmethod
    def of(cls, payload: Payload | None, body: bytes) -> _Scrubber:
        answered: str | None = None
        called: set[str] = set()
        texts: list[str] = []
        if isinstance(payload, Message):
            texts += [part.text for part in payload.parts if isinstance(part, (TextPart, ReasoningPart))]
            called = {call.call_id for call in payload.tool_calls}
            texts += [call.arguments for call in payload.tool_calls if isinstance(call.arguments, str)]
        elif isinstance(payload, ToolInvocation):
            answered = payload.result.call_id
            texts += _strings(payload.result.output)
        elif payload is not None:
            texts += _strings(json.loads(body))
        found = sorted({text for text in texts if len(text.strip()) >= SHORTEST}, key=len, reverse=True)
        needles = [form.encode() for text in found for form in _forms(text)]
        needles += [call_id.encode() for call_id in {*called, *([answered] if answered else [])}]
        return cls(tuple(found), answered, frozenset(called), tuple(needles))

    def scrub(self, document: bytes) -> bytes | None:
        """Give a document without what is redacted, or ``None`` when it does not hold it."""
        if not any(needle in document for needle in self.needles):
            return None
        try:
            told = json.loads(document)
        except ValueError:
            scrubbed = document
            for text in self.texts:
                scrubbed = scrubbed.replace(text.encode(), MARKER.encode())
            return scrubbed if scrubbed != document else None
        cleaned = self._clean(told)
        if cleaned == told:
            return None
        return json.dumps(cleaned, ensure_ascii=False, separators=(",", ":")).encode()

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._clean_text(value)
        if isinstance(value, list):
            return [self._clean(each) for each in value]
        if isinstance(value, dict):
            cleaned = {key: self._clean(each) for key, each in value.items()}
            call_id = value.get("call_id")
            if call_id == self.answered and call_id is not None and "output" in value:
                cleaned["output"] = MARKER
                cleaned.pop("spilled", None)
                cleaned.pop("attachments", None)
            if call_id in self.called and "arguments" in value:
                cleaned["arguments"] = {}
            return cleaned
        return value

    def _clean_text(self, value: str) -> str:
        for text in self.texts:
            for form in _forms(text):
                value = value.replace(form, MARKER)
        return value


def _forms(text: str) -> Iterator[str]:
    """Give a text as it is, and as it stands in JSON, and in JSON that stands in a string of JSON."""
    yield text
    seen = {text}
    for ascii_only in (False, True):
        form = text
        for _ in range(2):
            form = json.dumps(form, ensure_ascii=ascii_only)[1:-1]
            if form not in seen:
                seen.add(form)
                yield form


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
