"""``lash sessions writers``: who wrote under which epoch (S5)."""

from __future__ import annotations

from typing import Any

import attrs
import click

from lash_core.cli.opening import head_of, open_store, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_table, timestamp
from lash_core.runtime.lease import is_live, read_lease
from lash_core.runtime.reading import EpochWriter, epoch_writers

__all__ = ["writers"]


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N epochs.")
@common
def writers(shared: Shared, session_id: str, limit: int | None) -> None:
    """Print who wrote to SESSION under each epoch, and the last commit of each; takes no lease."""

    async def read() -> tuple[list[EpochWriter], int | None]:
        async with open_store(shared) as store:
            await head_of(store, session_id)
            assert store is not None
            handle = store.session(session_id)
            lease, found = await read_lease(handle), await epoch_writers(handle)
        if lease is None:
            return found, None
        known = [each for each in found if each.epoch != lease.epoch]
        holder = next((each for each in found if each.epoch == lease.epoch), EpochWriter(lease.epoch, None))
        named = attrs.evolve(holder, writer=lease.holder.describe())
        return [*known, named], lease.epoch if is_live(lease) else None

    found, held = run_async(read(), shared)
    shown = found[-limit:] if limit else found
    if shared.json:
        print_json([_document(each, held) for each in shown])
        return
    print_table(
        ("EPOCH", "WRITER", "COMMITS", "REVISION", "LAST COMMIT", ""),
        [
            (
                each.epoch,
                each.writer or "unknown",
                each.commits,
                "-" if each.revision is None else each.revision,
                "-" if each.committed_at is None else timestamp(each.committed_at),
                "holds the lease" if each.epoch == held else "",
            )
            for each in shown
        ],
    )


def _document(each: EpochWriter, held: int | None) -> dict[str, Any]:
    return {
        "epoch": each.epoch,
        "writer": each.writer,
        "commits": each.commits,
        "last_revision": each.revision,
        "last_commit_at": None if each.committed_at is None else timestamp(each.committed_at),
        "holds_lease": each.epoch == held,
    }
