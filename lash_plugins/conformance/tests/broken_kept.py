"""Stores of level ``retention`` that differ from one that passes by a few lines; each fails just one test of S8."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import attrs
from lash_conformance import StoreConformance
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.graph_checks import above
from lash_hookspecs.records.retention import CollectReport, DeleteReport, ExpireReport, VacuumReport

#: The name of each test class → the sentence of the test that its store fails.
FAILS: dict[str, str] = {}


def fails(sentence: str) -> Callable[[type[MemoryBackend]], type[MemoryBackend]]:
    """Make a test class for a store, which fails one test."""

    def register(backend: type[MemoryBackend]) -> type[MemoryBackend]:
        async def open_store(url: str, create: bool, clock: Callable[[], float]) -> MemoryBackend:
            return backend(clock=clock, max_nodes_per_commit=3_000)

        name = f"Test{backend.__name__}"
        FAILS[name] = sentence
        fields = {
            "__module__": __name__,
            "levels": ("core", "concurrent", "sharing", "retention", "migration"),
            "store_url": "memory:",
            "open_store": staticmethod(open_store),
        }
        globals()[name] = type(name, (StoreConformance,), fields)
        return backend

    return register


@fails("with_forks_leaves_those_that_stand_on_nodes_of_a_dead_incarnation")
class OwnsNodesByName(MemoryBackend):
    """Who has the name now is taken for the owner of what a dead incarnation of it stored."""

    def erase(self, session_id: str, deleted_at: int, *, with_forks: bool, dry_run: bool) -> DeleteReport:
        living = self.living[session_id]
        dead = {tombstone.incarnation for tombstone in self.dead(session_id)}
        for node_id, owner in living.graph.owners.items():
            if owner in dead:
                living.graph.owners[node_id] = living.head.incarnation
        return super().erase(session_id, deleted_at, with_forks=with_forks, dry_run=dry_run)


@fails("gc_takes_no_blob_that_a_writer_refers_to_between_its_looking_and_its_removing")
class LooksAndThenRemoves(MemoryBackend):
    """What was loose when it looked is removed, whoever refers to it by then."""

    async def gc(self, **options: Any) -> CollectReport:
        blobs = dict(self.blobs)
        report = await super().gc(**options)
        loose = blobs.keys() - self.blobs.keys()
        self.blobs = blobs
        await asyncio.sleep(0)
        for ref in loose:
            self.blobs.pop(ref, None)
        return report


@fails("vacuum_keeps_the_ancestors_of_a_newcomer_on_which_nobody_stands")
class KeepsVisibleNodesWithoutTheirAncestors(MemoryBackend):
    """A visible node off every active path stays; what it hangs on goes when it is hidden."""

    async def vacuum(self, **options: Any) -> VacuumReport:
        cut = {}
        for graph in self.graphs():
            parents = {node.node_id: node.parent_node_id for node in graph.nodes.values()}
            active = above(parents, [session.head.leaf for session in self.sharing(graph).values()])
            for node in graph.nodes.values():
                if not node.hidden and node.node_id not in active:
                    cut[node.node_id] = graph.nodes, node
        for node_id, (nodes, node) in cut.items():
            nodes[node_id] = attrs.evolve(node, parent_node_id=None)
        report = await super().vacuum(**options)
        for node_id, (nodes, node) in cut.items():
            nodes[node_id] = node
        return report


@fails("a_session_expires_whole_after_its_last_commit")
class GoesByTheClockOfTheWriter(MemoryBackend):
    async def expire(self, **options: Any) -> ExpireReport:
        for session in self.living.values():
            session.stored_at = session.head.updated_at
        return await super().expire(**options)
