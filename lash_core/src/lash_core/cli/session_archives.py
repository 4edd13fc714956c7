"""``lash sessions export`` and ``import``: sessions as a file."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

import attrs
import click

from lash_core.app import of_tenant, open_backend
from lash_core.builtins import BUILTINS
from lash_core.cli.opening import head_of, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_text, stdout, to_stderr
from lash_core.cli.progress import TellProgress
from lash_core.cli.store_access import amount, existing_store
from lash_core.config import locate_store, make_default_store
from lash_core.plugins import PluginManager
from lash_core.runtime.archive_export import Exported, export_sessions
from lash_core.runtime.archive_files import new_file, readable_file
from lash_core.runtime.archive_import import Imported, import_archive

__all__ = ["export", "import_file"]


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.argument("file", metavar="[FILE]", required=False)
@common
def export(shared: Shared, session_id: str, file: str | None) -> None:
    """Write SESSION with all that it stands on into the new FILE, or to stdout: lines of JSON with a checksum."""

    async def work() -> Exported:
        async with existing_store(shared) as store:
            await head_of(store, session_id)
            with _target(file) as target:
                return await export_sessions(store, [(session_id,)], target.write, TellProgress())

    told = run_async(work(), shared)
    if file is None:
        return
    if shared.json:
        print_json({"file": file, **attrs.asdict(told)})
    else:
        print_text(
            f"exported {session_id} to {file} ({amount(told.nodes, 'node')}, {amount(told.records, 'commit')}, "
            f"{amount(told.blobs, 'blob')}; {told.bytes:,} bytes)"
        )


@click.command("import")
@click.argument("file", metavar="FILE")
@common
def import_file(shared: Shared, file: str) -> None:
    """Store the sessions of FILE (- for stdin), each whole or not at all."""

    async def work() -> Imported:
        settings = shared.settings()
        location = locate_store(settings)
        with _source(file) as source:
            if not location.exists:
                make_default_store(location)
                to_stderr(f"lash: new store at {location.path}")
            plugins = PluginManager.discover(settings.plugins, builtins=BUILTINS)
            backend = await open_backend(plugins, location.url, True)
            try:
                store = of_tenant(backend, settings.tenant)
                where = "stdin" if file == "-" else file
                return await import_archive(store, source, where=where, progress=TellProgress())
            finally:
                await backend.close()

    told = run_async(work(), shared)
    if shared.json:
        print_json(attrs.asdict(told))
        return
    for session_id in told.sessions:
        fresh = " (it was deleted here once: old handles and writers of it are still refused)"
        print_text(f"imported {session_id}{fresh if session_id in told.renewed else ''}")
    print_text(f"{amount(told.nodes, 'node')}, {amount(told.records, 'commit')}, {amount(told.blobs, 'blob')}")


@contextlib.contextmanager
def _target(file: str | None) -> Iterator[IO[bytes]]:
    if file is None:
        yield stdout().buffer
        stdout().buffer.flush()
        return
    with new_file(file) as opened:
        yield opened


@contextlib.contextmanager
def _source(file: str) -> Iterator[IO[bytes]]:
    """Open what is read twice; stdin is kept in a file meanwhile."""
    if file != "-":
        with readable_file(file) as opened:
            yield opened
        return
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.seek(0)
        yield kept
