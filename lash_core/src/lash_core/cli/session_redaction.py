"""``lash sessions redact``: a payload taken out of the store, with an audit entry (S8)."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator

import click
from lash_hookspecs.records.retention import RedactReport

from lash_core.cli.opening import head_of, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.store_access import amount, existing_store, print_report
from lash_core.cli.store_retention import dry_run_option
from lash_core.runtime.redacting import redact_node

__all__ = ["redact"]


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.argument("node_id", metavar="NODE")
@click.option("--why", metavar="TEXT", help="The reason, for the audit; do not repeat what is redacted.")
@click.option("--who", metavar="NAME", help="Who wants it, for the audit; you by default.")
@click.option("--yes", is_flag=True, help="Really; it cannot be undone.")
@dry_run_option
@common
def redact(
    shared: Shared, session_id: str, node_id: str, why: str | None, who: str | None, yes: bool, dry_run: bool
) -> None:
    """Replace what NODE of SESSION says by a marker, wherever its graph's sessions keep it."""
    if not yes and not dry_run:
        raise click.UsageError("redacting cannot be undone: say --yes, or --dry-run to see what it would do")

    async def work() -> RedactReport:
        async with existing_store(shared) as store:
            await head_of(store, session_id)
            return await redact_node(
                store,
                session_id,
                node_id,
                who=who or _user(),
                why=why or "",
                at=time.time_ns() // 1000,
                dry_run=dry_run,
            )

    report = run_async(work(), shared)
    print_report(shared, report, *_lines(report))


def _lines(report: RedactReport) -> Iterator[str]:
    did = "would redact" if report.dry_run else "redacted"
    yield f"{did} node {report.node_id} ({report.bytes:,} bytes)"
    places = (
        (len(report.copies), "other node", None),
        (report.records, "commit record", None),
        (report.entries, "stream entry", "stream entries"),
        (report.heads, "head", None),
        (report.components, "component", None),
    )
    also = [amount(count, noun, plural) for count, noun, plural in places if count]
    if also:
        yield f"the same text was in {', '.join(also)} of {', '.join(report.sessions)}"
    if report.blobs:
        yield f"{amount(report.blobs, 'blob')} that only it referred to went with it"
    if report.shared_blobs:
        yield f"{amount(report.shared_blobs, 'blob')} that it referred to stay: something else needs them"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
