"""``lash store backup`` and ``copy``: the store somewhere else."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

import click
from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.protocols.retention import BackedUpBackend
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.retention import BackupReport

from lash_core.app import of_tenant, open_backend
from lash_core.builtins import BUILTINS
from lash_core.cli.opening import all_sessions, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_text
from lash_core.cli.progress import TellProgress
from lash_core.cli.store_access import amount, existing_store, print_report, unable
from lash_core.config import locate_store
from lash_core.plugins import PluginManager
from lash_core.runtime.archive_export import export_sessions, families
from lash_core.runtime.archive_import import Imported, import_archive

__all__ = ["backup", "copy"]


@click.command()
@click.argument("destination", metavar="DEST")
@common
def backup(shared: Shared, destination: str) -> None:
    """Write the whole store, as it is at one moment, into the new file DEST; others may go on writing."""

    async def work() -> BackupReport:
        async with existing_store(shared) as store:
            if not isinstance(store, BackedUpBackend):
                raise unable(store, "write a backup of itself")
            return await store.backup(Path(destination), progress=TellProgress())

    report = run_async(work(), shared)
    print_report(shared, report, f"backed up to {report.path} ({report.bytes:,} bytes)")


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@common
def copy(shared: Shared, source: str, destination: str) -> None:
    """Copy every session of the store SRC into the store DST, both URLs or names; again, and it goes on."""
    told = run_async(_copy(shared, source, destination), shared)
    if shared.json:
        print_json(
            {
                "sessions": told.sessions,
                "skipped": told.skipped,
                "renewed": told.renewed,
                "nodes": told.nodes,
                "commits": told.records,
                "blobs": told.blobs,
            }
        )
        return
    print_text(
        f"copied {amount(len(told.sessions), 'session')} ({amount(told.nodes, 'node')}, "
        f"{amount(told.records, 'commit')}, {amount(told.blobs, 'blob')})"
    )
    if told.skipped:
        print_text(f"{amount(len(told.skipped), 'session')} were there already")


async def _copy(shared: Shared, source: str, destination: str) -> Imported:
    settings = shared.settings()
    plugins = PluginManager.discover(settings.plugins, builtins=BUILTINS)
    urls = [locate_store(shared.settings(store=given)).url for given in (source, destination)]
    if urls[0] == urls[1]:
        raise ConfigurationError("SRC and DST are the same store")
    opened = [await open_backend(plugins, urls[0], False)]
    try:
        opened.append(await open_backend(plugins, urls[1], True))
        read, written = (of_tenant(backend, settings.tenant) for backend in opened)
        return await _copy_families(read, written)
    finally:
        for backend in opened:
            await backend.close()


async def _copy_families(read: StoreBackend, written: StoreBackend) -> Imported:
    """Copy graph after graph through an archive, so that each is compared with its checksum."""
    total, tell = Imported(), TellProgress()
    names = [row.head.session_id async for row in all_sessions(read)]
    async for family in families(read, names):
        with tempfile.TemporaryFile() as file:
            await export_sessions(read, [family], file.write)
            told = await import_archive(written, _rewound(file), where="the copy", skip_same=True)
        total.sessions += told.sessions
        total.renewed += told.renewed
        total.skipped += told.skipped
        total.nodes, total.records = total.nodes + told.nodes, total.records + told.records
        total.blobs += told.blobs
        tell("copying sessions", len(total.sessions) + len(total.skipped), len(names))
    return total


def _rewound(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    return file
