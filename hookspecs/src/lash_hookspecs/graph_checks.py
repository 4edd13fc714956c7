"""Walks over parent edges, for authors of stores: what stands above and below nodes, and which edges are wrong.

The keys may be node ids or whatever a store calls its nodes by.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

__all__ = ["above", "below", "edge_faults"]

K = TypeVar("K", bound=Hashable)


def above(parents: Mapping[K, K | None], starts: Iterable[K | None]) -> set[K]:
    """Give the nodes on the paths from roots to ``starts``, those included; ends where a parent is not stored."""
    found: set[K] = set()
    for start in starts:
        node = start
        while node is not None and node in parents and node not in found:
            found.add(node)
            node = parents[node]
    return found


def below(parents: Mapping[K, K | None], starts: Iterable[K]) -> set[K]:
    """Give ``starts`` and every node that stands on one of them."""
    children: dict[K, list[K]] = {}
    for node, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(node)
    found: set[K] = set()
    waiting = [node for node in starts if node in parents]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += children.get(node, ())
    return found


def edge_faults(parents: Mapping[K, K | None]) -> tuple[list[K], list[K]]:
    """Find wrong edges: the nodes whose parent is not stored, and one node of each cycle, the first of the mapping."""
    dangling = [node for node, parent in parents.items() if parent is not None and parent not in parents]
    sound: set[K] = set()
    cycles: list[K] = []
    for start in parents:
        path: dict[K, None] = {}
        node: K | None = start
        while node is not None and node in parents and node not in sound and node not in path:
            path[node] = None
            node = parents[node]
        if node is not None and node in path:
            members = list(path)
            ring = set(members[members.index(node) :])
            cycles.append(next(each for each in parents if each in ring))
        sound.update(path)
    return dangling, cycles
