"""Retention, checks and archives of a SQL database: how the units of work are put together.

A backend and the view of one tenant have `Upkeep`, a session's handle has `KeptSession`; both only know something that
runs units of work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lash_hookspecs.protocols.retention import GRACE

from lash_store_sql.connection import Connection, Name

if TYPE_CHECKING:
    from lash_hookspecs.records.retention import (
        ArchivedNode,
        ArchivedRow,
        CheckReport,
        CollectReport,
        DeleteReport,
        ExpireReport,
        Finding,
        HideReport,
        Progress,
        PruneReport,
        Redaction,
        RedactReport,
        Retention,
        VacuumReport,
    )

    from lash_store_sql.checking import Page
    from lash_store_sql.collecting import Reached
    from lash_store_sql.session import Database

__all__ = ["KeptSession", "Upkeep"]

T = TypeVar("T")


def _untold(what: str, done: int, total: int | None) -> None:
    """Tell nobody."""


class KeptSession:
    """What a session's handle has of `RetainedSession` and `ArchivedSession`."""

    async def hide(self, node_ids: Sequence[str], *, dry_run: bool = False) -> HideReport:
        """Take nodes out of sight, and all below them."""
        from lash_store_sql.retaining import hide_nodes

        return await self._write(hide_nodes, "nodes", node_ids=node_ids, dry_run=dry_run)

    async def redact(self, redaction: Redaction, *, dry_run: bool = False) -> RedactReport:
        """Replace a node's payload by a marker, and what repeats it."""
        from lash_store_sql.redacting import redact_node

        return await self._write(redact_node, "nodes", redaction=redaction, dry_run=dry_run)

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> PruneReport:
        """Remove what is not kept of commit records, their documents and streams."""
        from lash_store_sql.retaining import prune_session

        return await self._write(prune_session, "commit records", retention=retention, dry_run=dry_run)

    async def erase(
        self, *, incarnation: str, deleted_at: int, with_forks: bool = False, dry_run: bool = False
    ) -> DeleteReport:
        """Delete the session, and tell what went and what stays."""
        from lash_store_sql.retaining import erase_session

        return await self._write(
            erase_session,
            "head",
            incarnation=incarnation,
            deleted_at=deleted_at,
            with_forks=with_forks,
            dry_run=dry_run,
        )

    async def archive(self, *, after: str | None = None, limit: int | None = None) -> Sequence[ArchivedNode]:
        """Read all nodes of the graph, the hidden ones too, each with its owner."""
        from lash_store_sql.archiving import read_archive

        return await self._read(read_archive, "nodes", after=after, limit=limit)

    async def sharers(self) -> Sequence[str]:
        """Name the living sessions that share the graph, oldest first."""
        from lash_store_sql.archiving import read_sharers

        return await self._read(read_sharers, "heads")

    async def streams(self) -> Mapping[str, int]:
        """Give the streams' names, each with the newest sequence ever given."""
        from lash_store_sql.archiving import read_streams

        return await self._read(read_streams, "streams")

    async def _read(self, unit: Callable[..., T], row: str, **arguments: Any) -> T:
        raise NotImplementedError

    async def _write(self, unit: Callable[..., T], row: str, **arguments: Any) -> T:
        raise NotImplementedError


class Upkeep:
    """What a backend and a tenant's view have of `RetainedBackend`, `CheckedBackend` and `ArchivingBackend`."""

    def _kept(self) -> tuple[Database, str]:
        """Give what runs units of work, and the tenant."""
        raise NotImplementedError

    async def vacuum(
        self,
        *,
        grace: float = GRACE,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> VacuumReport:
        """Remove hidden nodes, graph by graph."""
        from lash_hookspecs.records.retention import VacuumReport

        from lash_store_sql.retaining import count_hidden, hidden_graphs, vacuum_graph

        database, tenant = self._kept()
        tell, over = progress or _untold, _deadline(budget)
        hidden_before = await self._past(grace)
        graphs = await database.read(partial(hidden_graphs, tenant=tenant), "nodes")
        nodes = size = shown = young = 0
        done = True
        for number, graph in enumerate(graphs):
            more = True
            while more and done:
                unit = partial(vacuum_graph, graph=graph, hidden_before=hidden_before, dry_run=dry_run)
                step = await database.write(unit, "nodes")
                nodes, size, shown, more = nodes + step.nodes, size + step.bytes, shown + step.shown, step.more
                tell("vacuum", number + 1, len(graphs))
                done = not over() or not (more or number + 1 < len(graphs))
            young += step.young
            if not done:
                break
        if nodes and not dry_run:
            await database.write(_forget, "nodes")
        left = 0 if done else await database.read(partial(count_hidden, tenant=tenant), "nodes")
        return VacuumReport(
            nodes=nodes,
            bytes=size,
            shown=shown,
            young=young,
            remaining=max(0, left - young - (nodes + shown if dry_run else 0)),
            done=done,
            dry_run=dry_run,
        )

    async def gc(
        self,
        *,
        grace: float = GRACE,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> CollectReport:
        """Remove blobs that nothing reaches, and runs of a graph that are empty."""
        from lash_hookspecs.records.retention import CollectReport

        from lash_store_sql.collecting import drop_segments, stamp_blobs, sweep

        database, tenant = self._kept()
        tell, over = progress or _untold, _deadline(budget)
        if not dry_run:
            await database.write(partial(stamp_blobs, tenant=tenant), "blobs")
        put_before = await self._past(grace)
        total = await database.count_tenant(tenant)
        reached = await self._mark(tell, total.sessions)
        blobs = size = young = remaining = seen = 0
        after: int | None = 0
        done = True
        while after is not None:
            unit = partial(
                sweep, tenant=tenant, after=after, reached=reached, put_before=put_before, dry_run=dry_run or not done
            )
            page = await database.write(unit, "blobs")
            young, seen = young + page.young, seen + 1
            if done:
                blobs, size = blobs + page.blobs, size + page.bytes
            else:
                remaining += page.blobs
            done = done and (page.next is None or not blobs or not over())
            after = page.next
            tell("removing blobs", blobs, None)
        segments = await database.write(partial(drop_segments, tenant=tenant, dry_run=dry_run), "segments")
        if blobs and not dry_run:
            await database.write(_forget, "blobs")
        return CollectReport(
            blobs=blobs,
            segments=segments,
            bytes=size,
            young=young,
            remaining=remaining,
            done=not remaining,
            dry_run=dry_run,
        )

    async def expire(
        self,
        *,
        now: int,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> ExpireReport:
        """Delete the sessions whose time to live is over."""
        from lash_hookspecs.records.retention import ExpireReport

        from lash_store_sql.retaining import erase_expired, find_expired

        database, tenant = self._kept()
        tell, over = progress or _untold, _deadline(budget)
        waiting = await database.read(partial(find_expired, tenant=tenant, now=now), "heads")
        gone: list[DeleteReport] = []
        leased = tried = 0
        for session_id in waiting:
            unit = partial(erase_expired, name=Name(tenant, session_id), now=now, dry_run=dry_run)
            report = await database.write(unit, "head", session_id)
            tried += 1
            gone += [report] if report else []
            leased += report is None
            tell("expiring sessions", tried, len(waiting))
            if over():
                break
        return ExpireReport(
            session_ids=tuple(session_id for report in gone for session_id in report.session_ids),
            nodes=sum(report.nodes for report in gone),
            bytes=sum(report.bytes for report in gone),
            leased=leased,
            remaining=len(waiting) - tried,
            done=tried == len(waiting),
            dry_run=dry_run,
        )

    async def check(self, *, repair: bool = False, progress: Progress | None = None) -> CheckReport:
        """Look for what breaks a rule."""
        from lash_hookspecs.records.retention import CheckReport

        from lash_store_sql.checking import check_blobs, check_database, check_graph, check_sessions, list_graphs

        database, tenant = self._kept()
        tell = progress or _untold
        run = database.write if repair else database.read
        findings: list[Finding] = []
        tell("checking the database", 0, None)
        findings += (await run(partial(check_database, repair=repair), "the database")).findings
        graphs = await database.read(partial(list_graphs, tenant=tenant), "heads")
        nodes = 0
        for number, graph in enumerate(graphs):
            page = await run(partial(check_graph, graph=graph, repair=repair), "nodes")
            findings += page.findings
            nodes += page.seen
            tell("checking graphs", number + 1, len(graphs))
        sessions, more = await self._pages(check_sessions, repair, tell, "checking sessions")
        findings += more
        blobs, more = await self._pages(check_blobs, repair, tell, "checking blobs")
        findings += more
        return CheckReport(sessions=sessions, nodes=nodes, blobs=blobs, findings=tuple(findings))

    async def load(self, rows: Iterable[ArchivedRow]) -> Sequence[str]:
        """Store a family of sessions from its rows, all or none."""
        from lash_store_sql.archiving import load_family

        database, tenant = self._kept()
        unit = partial(load_family, tenant=tenant, rows=rows, max_value=database.max_value)
        return await database.write(unit, "the archive")

    async def _past(self, seconds: float) -> int:
        """Tell the time so many seconds ago, in microseconds, by the clock of the database."""
        database, _ = self._kept()
        now = await database.read(lambda connection: connection.now(), "the clock")
        return int((now - seconds) * 1_000_000)

    async def _mark(self, tell: Progress, sessions: int) -> Reached:
        from lash_store_sql.collecting import Reached, mark_nodes, mark_sessions

        database, tenant = self._kept()
        reached, after, seen = Reached(), 0, 0
        while True:
            unit = partial(mark_sessions, tenant=tenant, after=after, reached=reached)
            following = await database.read(unit, "heads")
            seen = min(seen + 100, sessions)
            tell("looking for what is needed", seen, sessions)
            if following is None:
                break
            after = following
        await database.read(partial(mark_nodes, tenant=tenant, reached=reached), "nodes")
        return reached

    async def _pages(
        self, unit: Callable[..., Page], repair: bool, tell: Progress, what: str
    ) -> tuple[int, list[Finding]]:
        from lash_hookspecs.records.retention import Finding

        database, tenant = self._kept()
        run = database.write if repair else database.read
        after: int | None = 0
        seen, found = 0, list[Finding]()
        while after is not None:
            page = await run(partial(unit, tenant=tenant, after=after, repair=repair), "rows")
            after, seen = page.next, seen + page.seen
            found += page.findings
            tell(what, seen, None)
        return seen, found


def _deadline(budget: float | None) -> Callable[[], bool]:
    end = None if budget is None else time.monotonic() + budget
    return lambda: end is not None and time.monotonic() >= end


def _forget(connection: Connection) -> None:
    connection.forget()
