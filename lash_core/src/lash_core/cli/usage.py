"""``lash usage``: what sessions have used (T8)."""

from __future__ import annotations

from typing import Any

import click
from lash_hookspecs.records.usage import UsageRow, add_usage

from lash_core.cli.opening import all_sessions, open_store, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_table
from lash_core.cli.turn_output import usage_document
from lash_core.runtime.summary import summarise

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
    """Show tokens, cost and calls of all sessions; UNKNOWN counts calls whose answer was lost in a crash."""
    rows = run_async(_collect(shared, by), shared)
    total = _sum(list(rows.values()))
    if shared.json:
        print_json(
            {"by": by, "rows": [{by: key, **_document(row)} for key, row in rows.items()], "total": _document(total)}
        )
        return
    lines = [(key, *_cells(row)) for key, row in rows.items()]
    if len(lines) > 1:
        lines.append(("total", *_cells(total)))
    print_table((by.upper(), "INPUT", "CACHED", "OUTPUT", "REASONING", "COST", "CALLS", "UNKNOWN"), lines)


async def _collect(shared: Shared, by: str) -> dict[str, UsageRow]:
    groups: dict[str, list[UsageRow]] = {}
    async with open_store(shared) as store:
        async for summary in (summarise(row) async for row in all_sessions(store)):
            for row in summary.usage:
                key = {"session": summary.session_id, "model": row.model, "source": row.source}[by]
                groups.setdefault(key, []).append(row)
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
