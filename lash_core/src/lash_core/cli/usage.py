"""``lash usage``: what sessions have used (T8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import click
from lash_hookspecs.records.usage import UsageRow, add_usage

from lash_core.cli.opening import all_sessions, open_store, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_table
from lash_core.cli.turn_output import usage_document
from lash_core.runtime.child_usage import usage_filed
from lash_core.runtime.summary import SessionSummary, summarise

__all__ = ["usage"]


@click.command()
@click.option(
    "--by",
    type=click.Choice(["session", "model", "source"]),
    default="session",
    show_default=True,
    help="What a row is about.",
)
@common
def usage(shared: Shared, by: str) -> None:
    """Show tokens, cost and calls of all sessions; UNKNOWN counts calls whose answer was lost in a crash.

    What a child used is in its parent's ledger too, so it is not added up a second time.
    """
    found = run_async(_collect(shared), shared)
    parents = _parents([each.summary for each in found])
    counted = [row for each in found for row in each.counted(is_child=each.summary.session_id in parents)]
    rows = _group(found) if by == "session" else _group_rows(counted, by)
    total = _sum(counted)
    if shared.json:
        links = {key: {"child_of": parent} for key, parent in parents.items()} if by == "session" else {}
        told = [{by: key, **_document(row), **links.get(key, {})} for key, row in rows.items()]
        print_json({"by": by, "rows": told, "total": _document(total)})
        return
    heads: tuple[str, ...] = (by.upper(), "INPUT", "CACHED", "OUTPUT", "REASONING", "COST", "CALLS", "UNKNOWN")
    lines = [(key, *_cells(row)) for key, row in rows.items()]
    if by == "session" and parents:
        heads, lines = (*heads, "CHILD OF"), [(*line, parents.get(str(line[0]))) for line in lines]
    if len(lines) > 1:
        lines.append(("total", *_cells(total), *[""] * (len(heads) - 8)))
    print_table(heads, lines)


@attrs.frozen
class _Found:
    """A session with what its children have filed and its ledger does not have yet."""

    summary: SessionSummary
    filed: tuple[UsageRow, ...] = ()

    def counted(self, *, is_child: bool) -> tuple[UsageRow, ...]:
        """Give what no other session's ledger has."""
        return self.filed if is_child else (*self.summary.usage, *self.filed)


async def _collect(shared: Shared) -> list[_Found]:
    async with open_store(shared) as store:
        summaries = [summarise(row) async for row in all_sessions(store)]
        parents = set(_parents(summaries).values())
        return [
            _Found(each, await usage_filed(store, each.session_id) if store and each.session_id in parents else ())
            for each in summaries
        ]


def _parents(found: Sequence[SessionSummary]) -> dict[str, str]:
    """Give the children whose parent is in the store, and so counts what they use: child → parent."""
    known = {each.session_id for each in found}
    return {
        each.session_id: each.parent.session_id
        for each in found
        if each.parent is not None and each.parent.relation == "child" and each.parent.session_id in known
    }


def _group(found: Sequence[_Found]) -> dict[str, UsageRow]:
    rows = {each.summary.session_id: [*each.summary.usage, *each.filed] for each in found}
    return {key: _sum(rows[key]) for key in sorted(rows) if rows[key]}


def _group_rows(rows: Sequence[UsageRow], by: str) -> dict[str, UsageRow]:
    groups: dict[str, list[UsageRow]] = {}
    for row in rows:
        groups.setdefault(row.model if by == "model" else row.source, []).append(row)
    return {key: _sum(group) for key, group in sorted(groups.items())}


def _sum(rows: list[UsageRow]) -> UsageRow:
    total = UsageRow(source="", model="")
    for row in rows:
        total = UsageRow(
            source="",
            model="",
            usage=add_usage(total.usage, row.usage),
            calls=total.calls + row.calls,
            unknown_calls=total.unknown_calls + row.unknown_calls,
        )
    return total


def _document(row: UsageRow) -> dict[str, Any]:
    return {**usage_document(row.usage), "calls": row.calls, "unknown_calls": row.unknown_calls}


def _cells(row: UsageRow) -> tuple[object, ...]:
    used = row.usage
    return (
        used.input_tokens,
        used.cached_input_tokens,
        used.output_tokens,
        used.reasoning_tokens,
        used.cost,
        row.calls,
        row.unknown_calls,
    )
