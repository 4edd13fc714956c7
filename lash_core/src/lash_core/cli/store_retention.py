"""``lash store hide``, ``vacuum``, ``gc`` and ``prune``: what goes, and how much that is (S8)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
import click
from lash_hookspecs.errors import InvalidInput
from lash_hookspecs.protocols.retention import GRACE
from lash_hookspecs.records.retention import (
    CollectReport,
    ExpireReport,
    HideReport,
    Keep,
    PruneReport,
    Retention,
    VacuumReport,
)

from lash_core.cli.opening import all_sessions, head_of, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_text
from lash_core.cli.progress import TellProgress
from lash_core.cli.store_access import amount, existing_store, print_report, retained, retained_session
from lash_core.runtime.reading import orphaned_node_ids

__all__ = ["dry_run_option", "gc", "hide", "prune", "vacuum"]

_DAY = 86_400_000_000

#: Streams in which the runtime keeps what it still needs; it trims them itself.
_NEEDED = ("journal", "handoffs", "tasks", "usage", "inbox")

dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")


def _paced(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--grace",
            type=click.FloatRange(min=0),
            default=GRACE,
            metavar="SECONDS",
            help=f"Leave alone what is younger, {GRACE:g} by default; less only where nobody writes.",
        ),
        click.option(
            "--budget",
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            help="Stop after so long; the next run goes on.",
        ),
        dry_run_option,
    ):
        function = option(function)
    return function


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.argument("node_ids", metavar="[NODE]...", nargs=-1)
@click.option("--orphaned", is_flag=True, help="Hide every node that no session of the graph stands on.")
@dry_run_option
@common
def hide(shared: Shared, session_id: str, node_ids: tuple[str, ...], orphaned: bool, dry_run: bool) -> None:
    """Take nodes of SESSION's graph out of sight, and all below them; `lash store vacuum` removes them."""
    if bool(node_ids) == orphaned:
        raise click.UsageError("name nodes, or say --orphaned")

    async def work() -> HideReport:
        async with existing_store(shared) as store:
            await head_of(store, session_id)
            handle = store.session(session_id)
            session = retained_session(store, session_id, "hide nodes")
            wanted = list(node_ids)
            if orphaned:
                seen: set[str] = set()
                async for row in all_sessions(store):
                    if row.head.leaf is not None and await handle.nodes([row.head.leaf]):
                        seen.update(node.node_id for node in await handle.path(row.head.leaf))
                wanted = [each for each in await orphaned_node_ids(session_id, handle) if each not in seen]
            return await session.hide(wanted, dry_run=dry_run)

    report = run_async(work(), shared)
    did = "would hide" if dry_run else "hid"
    print_report(shared, report, f"{did} {amount(len(report.node_ids), 'node')} ({report.bytes:,} bytes)")


@click.command()
@_paced
@common
def vacuum(shared: Shared, dry_run: bool, budget: float | None, grace: float) -> None:
    """Remove hidden nodes for good."""

    async def work() -> VacuumReport:
        async with existing_store(shared) as store:
            backend = retained(store, "remove nodes")
            return await backend.vacuum(grace=grace, budget=budget, progress=TellProgress(), dry_run=dry_run)

    report = run_async(work(), shared)
    did = "would remove" if dry_run else "removed"
    lines = [f"{did} {amount(report.nodes, 'hidden node')} ({report.bytes:,} bytes)"]
    if report.shown:
        lines.append(f"{amount(report.shown, 'node')} shown again: a session stands on them")
    lines += _rest(report.young, "hidden a short time ago", report.remaining)
    print_report(shared, report, *lines)


@click.command()
@_paced
@common
def gc(shared: Shared, dry_run: bool, budget: float | None, grace: float) -> None:
    """Delete sessions whose time to live is over, and remove blobs that nothing needs."""

    async def work() -> tuple[ExpireReport, CollectReport]:
        async with existing_store(shared) as store:
            backend = retained(store, "collect garbage")
            now, begin = time.time_ns() // 1000, time.monotonic()
            expired = await backend.expire(now=now, budget=budget, progress=TellProgress(), dry_run=dry_run)
            left = None if budget is None else max(0.0, budget - (time.monotonic() - begin))
            collected = await backend.gc(grace=grace, budget=left, progress=TellProgress(), dry_run=dry_run)
            return expired, collected

    expired, collected = run_async(work(), shared)
    if shared.json:
        print_json({"expired": attrs.asdict(expired), "collected": attrs.asdict(collected)})
        return
    did = "would remove" if dry_run else "removed"
    if expired.session_ids or expired.leased or expired.remaining:
        print_text(
            f"{did} {amount(len(expired.session_ids), 'session')} whose time was over "
            f"({amount(expired.nodes, 'node')}, {expired.bytes:,} bytes)"
        )
    for line in _rest(expired.leased, "expired but worked on", expired.remaining):
        print_text(line)
    runs = f" and {amount(collected.segments, 'empty run')} of nodes" if collected.segments else ""
    print_text(f"{did} {amount(collected.blobs, 'blob')} ({collected.bytes:,} bytes){runs}")
    for line in _rest(collected.young, "put a short time ago", collected.remaining):
        print_text(line)


@click.command()
@click.argument("session_id", metavar="[SESSION]", required=False)
@click.option("--keep-records", type=click.IntRange(min=1), metavar="N", help="Keep the newest N commit records.")
@click.option(
    "--keep-documents", type=click.IntRange(min=1), metavar="N", help="Keep the events of the newest N commits."
)
@click.option("--keep-days", type=click.FloatRange(min=0), metavar="DAYS", help="Keep whatever is not older, too.")
@click.option("--keep-entries", metavar="STREAM=N", multiple=True, help="Keep the newest N entries of a stream.")
@dry_run_option
@common
def prune(
    shared: Shared,
    session_id: str | None,
    keep_records: int | None,
    keep_documents: int | None,
    keep_days: float | None,
    keep_entries: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Remove old commit records, events and stream entries of SESSION, or of every session; nodes stay."""
    if keep_records is None and keep_documents is None and not keep_entries:
        raise click.UsageError("say what is kept: --keep-records, --keep-documents or --keep-entries")
    since = None if keep_days is None else time.time_ns() // 1000 - round(keep_days * _DAY)
    retention = Retention(
        records=None if keep_records is None else Keep(last=keep_records, since=since),
        documents=None if keep_documents is None else Keep(last=keep_documents, since=since),
        streams=_streams(keep_entries),
    )

    async def work() -> PruneReport:
        async with existing_store(shared) as store:
            if session_id is not None:
                await head_of(store, session_id)
                names = [session_id]
            else:
                names = [row.head.session_id async for row in all_sessions(store)]
            total, tell = PruneReport(records=0, documents=0, entries=0, bytes=0, dry_run=dry_run), TellProgress()
            for number, name in enumerate(names):
                session = retained_session(store, name, "prune")
                total = _sum(total, await session.prune(retention, dry_run=dry_run))
                tell("pruning sessions", number + 1, len(names))
            return total

    report = run_async(work(), shared)
    did = "would remove" if dry_run else "removed"
    print_report(
        shared,
        report,
        f"{did} {amount(report.records, 'commit record')}, the events of {amount(report.documents, 'other commit')} "
        f"and {amount(report.entries, 'entry', 'entries')} of streams ({report.bytes:,} bytes)",
    )


def _sum(one: PruneReport, other: PruneReport) -> PruneReport:
    return PruneReport(
        records=one.records + other.records,
        documents=one.documents + other.documents,
        entries=one.entries + other.entries,
        bytes=one.bytes + other.bytes,
        dry_run=one.dry_run,
    )


def _streams(pairs: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for pair in pairs:
        name, _, count = pair.rpartition("=")
        if not name or not count.isdecimal():
            raise click.UsageError(f"--keep-entries {pair!r} must be STREAM=N")
        if name in _NEEDED:
            raise InvalidInput(f"stream {name!r} holds what is still needed, and is trimmed by those who need it")
        found[name] = int(count)
    return found


def _rest(young: int, why: str, remaining: int) -> list[str]:
    lines = [f"{young:,} left for now: {why}"] if young else []
    return [*lines, f"{remaining:,} left: the budget is spent, run it again"] if remaining else lines
