"""``lash sessions``: list, show, tree, fork, branch, delete; the other commands of the group are joined to it here."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import attrs
import click
from lash_hookspecs.records.retention import DeleteReport
from lash_hookspecs.records.store import Head, SessionRow
from lash_hookspecs.records.tools import ToolAccess

from lash_core.cli.compacting import compact
from lash_core.cli.opening import all_sessions, head_of, open_lash, open_store, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_table, print_text, timestamp, to_stderr
from lash_core.cli.parking import park, resume
from lash_core.cli.session_archives import export, import_file
from lash_core.cli.session_config import config
from lash_core.cli.session_events import events
from lash_core.cli.session_output import node_document, print_node, print_tree, tree_document
from lash_core.cli.session_redaction import redact
from lash_core.cli.session_writers import writers
from lash_core.cli.store_access import amount, existing_store, retained_session
from lash_core.cli.store_retention import dry_run_option
from lash_core.runtime.lease import read_lease
from lash_core.runtime.resident import read_document
from lash_core.runtime.summary import SessionSummary, summarise

__all__ = ["branch", "delete", "fork", "sessions"]


@click.group()
@common
def sessions(shared: Shared) -> None:
    """List, show, fork, park, change and delete sessions."""


@sessions.command("list")
@click.option("--label", "pairs", metavar="K=V", multiple=True, help="Only those with this label; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N.")
@click.option("--after", metavar="CURSOR", help="Only those behind this session id, where an earlier list ended.")
@common
def list_sessions(shared: Shared, pairs: tuple[str, ...], limit: int | None, after: str | None) -> None:
    """List the sessions of the store, by id."""
    labels = _labels(pairs)

    async def collect() -> list[SessionSummary]:
        async with open_store(shared) as store:
            rows = all_sessions(store, labels=labels, after=after, limit=limit and limit + 1)
            return [summarise(row) async for row in rows]

    found = run_async(collect(), shared)
    if limit is not None and len(found) > limit:
        found = found[:limit]
        to_stderr(f"lash: there are more; --after {shlex.quote(found[-1].session_id)} goes on")
    if shared.json:
        print_json([_document(each) for each in found])
    else:
        print_table(
            ("SESSION", "STATUS", "TURNS", "REVISION", "MODEL", "LAST COMMIT", "LABELS"),
            [
                (
                    each.session_id,
                    each.status,
                    each.turn_index,
                    each.revision,
                    each.model,
                    timestamp(each.updated_at),
                    " ".join(f"{key}={value}" for key, value in each.labels.items()),
                )
                for each in found
            ],
        )


@sessions.command()
@click.argument("session_id", metavar="SESSION")
@common
def show(shared: Shared, session_id: str) -> None:
    """Print the whole active path of SESSION, and whether it is idle, running or interrupted."""

    async def read() -> None:
        async with open_store(shared) as store:
            head = await head_of(store, session_id)
            assert store is not None
            handle = store.session(session_id)
            summary = summarise(SessionRow(head, await read_lease(handle)))
            path = await handle.path(head.leaf) if head.leaf is not None else ()
        if shared.json:
            print_json({**_document(summary, head), "path": [node_document(node) for node in path]})
            return
        print_text(_describe(summary, head))
        for node in path:
            print_node(node)

    run_async(read(), shared)


@sessions.command()
@click.argument("session_id", metavar="SESSION")
@common
def tree(shared: Shared, session_id: str) -> None:
    """Print all nodes of SESSION's graph, its forks' included; * marks the active path."""

    async def read() -> None:
        async with open_store(shared) as store:
            head = await head_of(store, session_id)
            assert store is not None
            nodes = await store.session(session_id).graph()
            leaves: dict[str, list[str]] = {}
            known = {node.node_id for node in nodes}
            async for row in all_sessions(store):
                if row.head.leaf is not None and row.head.leaf in known:
                    leaves.setdefault(row.head.leaf, []).append(row.head.session_id)
        if shared.json:
            print_json({"session_id": session_id, "leaf": head.leaf, "nodes": tree_document(nodes, head.leaf, leaves)})
        else:
            print_tree(nodes, head.leaf, leaves)

    run_async(read(), shared)


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.argument("new_id", metavar="NEW")
@click.option("--at", metavar="NODE", help="The node to begin at; the leaf by default.")
@common
def fork(shared: Shared, session_id: str, new_id: str, at: str | None) -> None:
    """Make the session NEW that begins where SESSION stands."""

    async def make() -> None:
        async with open_lash(shared, "sessions fork", session_id=session_id) as lash:
            parent = await lash.session(session_id, create=False)
            child = await parent.fork(new_id, at=at)
            _say(shared, child.id, child.head, f"forked {session_id} to {child.id}", forked_from=session_id)

    run_async(make(), shared)


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.argument("node_id", metavar="NODE")
@common
def branch(shared: Shared, session_id: str, node_id: str) -> None:
    """Go back (or over) to NODE of SESSION: the next turn follows it."""

    async def move() -> None:
        async with open_lash(shared, "sessions branch", session_id=session_id) as lash:
            session = await lash.session(session_id, create=False)
            await session.branch(node_id)
            _say(shared, session_id, session.head, f"session {session_id} now stands at {node_id}")

    run_async(move(), shared)


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--with-forks", is_flag=True, help="Delete the sessions that stand on its nodes, too.")
@click.option("--yes", is_flag=True, help="Really; it cannot be undone.")
@dry_run_option
@common
def delete(shared: Shared, session_id: str, with_forks: bool, yes: bool, dry_run: bool) -> None:
    """Delete SESSION for ever. Nodes that forks share stay with them."""
    if not yes and not dry_run:
        raise click.UsageError("deleting cannot be undone: say --yes, or --dry-run to see what it would do")

    async def remove() -> DeleteReport | None:
        if dry_run:
            return await _try_deletion(shared, session_id, with_forks)
        async with open_lash(shared, "sessions delete", session_id=session_id) as lash:
            return await lash.delete(session_id, with_forks=with_forks)

    report = run_async(remove(), shared)
    if shared.json:
        told = attrs.asdict(report) if report else {}
        print_json({"session_id": session_id, "deleted": not dry_run, **told})
        return
    for line in _deletion(report, session_id):
        print_text(line)


async def _try_deletion(shared: Shared, session_id: str, with_forks: bool) -> DeleteReport:
    async with existing_store(shared) as store:
        head = await head_of(store, session_id)
        session = retained_session(store, session_id, "tell what deleting would do")
        return await session.erase(incarnation=head.incarnation, deleted_at=0, with_forks=with_forks, dry_run=True)


def _deletion(report: DeleteReport | None, session_id: str) -> Iterator[str]:
    if report is None:
        yield f"deleted session {session_id}"
        return
    did = "would delete" if report.dry_run else "deleted"
    for each in report.session_ids:
        yield f"{did} session {each}"
    gone = f"{amount(report.nodes, 'node')}, {report.bytes:,} bytes"
    stay = (
        f"; {amount(report.shared_nodes, 'node')} stay for {', '.join(report.shared_with)}"
        if report.shared_with
        else ""
    )
    yield f"{gone}{stay}"


for _command in (fork, branch, delete, redact, export, import_file, park, resume, config, compact, events, writers):
    sessions.add_command(_command)


def _labels(pairs: tuple[str, ...]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--label takes KEY=VALUE, and got {pair!r}")
        if labels.setdefault(name, value) != value:
            raise click.UsageError(f"no session has label {name!r} twice: {labels[name]!r} and {value!r}")
    return labels


def _say(shared: Shared, session_id: str, head: Head | None, words: str, **more: str) -> None:
    if shared.json:
        revision, leaf = (head.revision, head.leaf) if head else (None, None)
        print_json({"session_id": session_id, "head_revision": revision, "leaf": leaf, **more})
    else:
        print_text(words)


def _document(summary: SessionSummary, head: Head | None = None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "session_id": summary.session_id,
        "status": summary.status,
        "turns": summary.turn_index,
        "head_revision": summary.revision,
        "model": summary.model,
        "labels": dict(summary.labels),
        "created_at": timestamp(summary.created_at),
        "updated_at": timestamp(summary.updated_at),
        "holder": summary.holder.describe() if summary.holder else None,
        "parent": (
            {"session_id": summary.parent.session_id, "relation": summary.parent.relation} if summary.parent else None
        ),
        "successor": summary.successor,
    }
    if head is not None:
        told = read_document(head)
        document |= {
            "mode": told.config.mode,
            "context_window": told.config.context_window,
            "leaf": head.leaf,
            "forked_from": told.forked_from,
        }
    return document


def _describe(summary: SessionSummary, head: Head) -> str:
    told = read_document(head)
    parts = [
        f"session {summary.session_id}",
        summary.status + (f" ({summary.holder.describe()})" if summary.holder else ""),
        f"turn {summary.turn_index}",
        f"revision {summary.revision}",
        f"model {summary.model}",
        f"mode {told.config.mode}",
    ]
    if told.config.context_window is not None:
        parts.append(f"context window {told.config.context_window}")
    if told.config.tool_access != ToolAccess():
        parts.append("tools restricted")
    if summary.parent is not None:
        link = "child of" if summary.parent.relation == "child" else "took over from"
        parts.append(f"{link} {summary.parent.session_id}")
    if summary.successor is not None:
        parts.append(f"handed off to {summary.successor}")
    if told.forked_from:
        parts.append(f"forked from {told.forked_from}")
    if summary.status == "interrupted":
        parts.append(f"`lash turns continue` or `abandon` ends turn {summary.turn_index}")
    return " · ".join(parts)
