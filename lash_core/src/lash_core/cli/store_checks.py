"""``lash store stats`` and ``check``: how much there is, and whether it is sound (G4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import click
from lash_hookspecs.protocols.retention import CheckedBackend
from lash_hookspecs.records.retention import CheckReport, Finding
from lash_hookspecs.records.store import StoreCapabilities, StoreStats

from lash_core.cli.opening import run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_text
from lash_core.cli.progress import TellProgress
from lash_core.cli.store_access import amount, existing_store, unable

__all__ = ["check", "stats"]


@click.command()
@common
def stats(shared: Shared) -> None:
    """Count what the store holds, and say what it promises."""

    async def read() -> tuple[str, StoreStats, StoreCapabilities]:
        async with existing_store(shared) as store:
            return store.name, await store.stats(), store.capabilities

    name, counted, told = run_async(read(), shared)
    levels = sorted(told.levels)
    if shared.json:
        print_json({"store": name, **attrs.asdict(counted), "levels": levels, "durability": told.durability})
        return
    size = f" · {counted.bytes_on_disk:,} bytes on disk" if counted.bytes_on_disk is not None else ""
    print_text(name)
    print_text(
        f"{amount(counted.sessions, 'session')} · {amount(counted.nodes, 'node')} · "
        f"{amount(counted.commits, 'commit')} · {amount(counted.blobs, 'blob')}{size}"
    )
    print_text(f"levels {', '.join(levels)} · durability {told.durability}")


@click.command()
@click.option("--repair", is_flag=True, help="Mend what can be mended without loss.")
@common
def check(shared: Shared, repair: bool) -> int:
    """Look the whole store through; exit code 1 when something is wrong, and stays so."""

    async def look() -> CheckReport:
        async with existing_store(shared) as store:
            if not isinstance(store, CheckedBackend):
                raise unable(store, "check itself")
            return await store.check(repair=repair, progress=TellProgress())

    report = run_async(look(), shared)
    left = [finding for finding in report.findings if finding.repaired is None]
    if shared.json:
        print_json({**attrs.asdict(report), "clean": not left})
    else:
        for line in _lines(report, repair):
            print_text(line)
    return 1 if left else 0


def _lines(report: CheckReport, repair: bool) -> Iterator[str]:
    sessions, nodes = amount(report.sessions, "session"), amount(report.nodes, "node")
    looked = f"{sessions}, {nodes} and {amount(report.blobs, 'blob')} checked"
    for finding in report.findings:
        yield " ".join(_words(finding))
    repaired = sum(finding.repaired is not None for finding in report.findings)
    left = len(report.findings) - repaired
    if not report.findings:
        yield f"clean: {looked}"
    elif repair:
        yield f"{looked}: {repaired:,} mended, {left:,} left"
    else:
        hint = "; --repair mends what can be mended without loss" if left else ""
        yield f"{looked}: {amount(left, 'finding')}{hint}"


def _words(finding: Finding) -> Iterator[Any]:
    yield f"{finding.kind}:"
    if finding.session_id is not None:
        yield f"session {finding.session_id!r}:"
    yield finding.detail
    if finding.repaired is not None:
        yield f"— mended: {finding.repaired}"
    elif finding.left is not None:
        yield f"— {finding.left}"
