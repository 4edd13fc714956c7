"""The order of plugins: the same on every machine (P5)."""

from __future__ import annotations

from collections.abc import Iterable

from lash_core.plugins.records import PluginRecord

__all__ = ["in_order"]

#: Identity → the identities that come before it.
_Edges = dict[str, set[str]]


def in_order(records: Iterable[PluginRecord]) -> list[PluginRecord]:
    """Sort by the manifests' ``before`` and ``after``, then by (distribution, name).

    Plugins that wait for each other in a circle are marked as failed, with the edges as the reason.
    """
    pending = sorted(records, key=lambda record: (record.distribution, record.name, record.value))
    edges = _edges(pending)
    _fail_cycles(pending, edges)
    ordered: list[PluginRecord] = []
    done: set[str] = set()
    while pending:
        following = next(record for record in pending if edges[record.identity] <= done)
        pending.remove(following)
        ordered.append(following)
        done.add(following.identity)
    _tell([record for record in ordered if record.usable], edges)
    return ordered


def _tell(called: list[PluginRecord], edges: _Edges) -> None:
    for position, record in enumerate(called, 1):
        after = sorted(edges[record.identity])
        before = sorted(other for other, earlier in edges.items() if record.identity in earlier)
        told = [f"{word} {', '.join(others)}" for word, others in (("after", after), ("before", before)) if others]
        why = f"{' and '.join(told)}, as manifests say" if told else "by distribution and name, no manifest says more"
        record.note("ordered", f"{position} of {len(called)}: {why}")


def _edges(records: list[PluginRecord]) -> _Edges:
    edges: _Edges = {record.identity: set() for record in records}
    for record in records:
        if not (record.usable and record.manifest and (record.manifest.before or record.manifest.after)):
            continue
        for other in records:
            if other is record or not other.usable:
                continue
            if other.name in record.manifest.before:
                edges[other.identity].add(record.identity)
            if other.name in record.manifest.after:
                edges[record.identity].add(other.identity)
    return edges


def _fail_cycles(records: list[PluginRecord], edges: _Edges) -> None:
    inside = {identity for identity in edges if identity in _behind(identity, edges)}
    told = ", ".join(
        f"{earlier} before {later}"
        for later in sorted(inside)
        for earlier in sorted(edges[later] & inside)
        if later in _behind(earlier, edges)
    )
    for record in records:
        if record.identity in inside:
            record.settle("failed", "ordered", f"the plugins' order is a circle: {told}")
            edges[record.identity] = set()


def _behind(identity: str, edges: _Edges) -> set[str]:
    """Give everything that must come before a plugin."""
    found: set[str] = set()
    stack = list(edges[identity])
    while stack:
        earlier = stack.pop()
        if earlier not in found:
            found.add(earlier)
            stack.extend(edges[earlier])
    return found
