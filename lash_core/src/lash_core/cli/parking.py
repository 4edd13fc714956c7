"""``lash sessions park`` and ``resume``: a session as a handle, and what differs when it is back (L6, L7, L8, P8)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from lash_hookspecs.errors import ConfigurationError

from lash_core.app import Session
from lash_core.cli.opening import open_lash, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_json_line, print_text
from lash_core.runtime.parked import ParkedSession
from lash_core.runtime.report import RestoreReport

__all__ = ["park", "resume"]

#: More bytes than any handle has, however it is laid out.
_MOST = 65_536


@click.command()
@click.argument("session_id", metavar="SESSION")
@common
def park(shared: Shared, session_id: str) -> None:
    """Commit what SESSION has not committed, and print a handle that resumes it anywhere: one line of JSON."""

    async def leave() -> ParkedSession:
        async with open_lash(shared, "sessions park", session_id=session_id, as_stored=True) as lash:
            return await (await lash.session(session_id, create=False)).park()

    print_json_line(run_async(leave(), shared).to_json())


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--strict", is_flag=True, help="Refuse a session that was committed with other plugins.")
@common
def resume(shared: Shared, file: str, strict: bool) -> None:
    """Open the session of the handle in FILE (- for stdin) and say what differs here; writes nothing."""
    handle = ParkedSession.from_json(_read(file))

    async def take_up() -> None:
        async with open_lash(
            shared,
            "sessions resume",
            session_id=handle.session_id,
            as_stored=True,
            plugin_policy="strict" if strict else "compatible",
        ) as lash:
            session = await lash.resume(handle)
            if shared.json:
                print_json(_document(session, handle))
            else:
                for line in _lines(session, handle):
                    print_text(line)

    run_async(take_up(), shared)


def _read(file: str) -> Any:
    where = "stdin" if file == "-" else file
    try:
        text = sys.stdin.read(_MOST) if file == "-" else _beginning(Path(file))
    except OSError as error:
        raise ConfigurationError(f"{where}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{where}: this is no handle of a parked session: it is no text") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{where}: this is no handle of a parked session: it is no JSON; `lash sessions park` prints one"
        ) from error


def _beginning(path: Path) -> str:
    with path.open("rb") as opened:
        return opened.read(_MOST).decode()


def _document(session: Session, handle: ParkedSession) -> dict[str, Any]:
    report = session.runtime.report
    return {
        "session_id": session.id,
        "head_revision": session.head.revision if session.head else None,
        "parked_revision": handle.revision,
        "differs": report.differs,
        **report.to_json(),
        "interrupted": session.interrupted,
        "running": session.running,
        "turns": session.document.turn_index,
        "successor": session.document.successor,
    }


def _lines(session: Session, handle: ParkedSession) -> Iterator[str]:
    report, head = session.runtime.report, session.head
    yield f"session {session.id} resumes {_standing(head.revision if head else None, handle.revision)}"
    found = [*_differences(report), *_turn(session)]
    yield from found
    if session.document.successor is not None:
        yield f"handed off: session {session.document.successor} took over"
    if not found:
        yield "nothing differs"
    if report.tools is not None and report.tools.overridden:
        yield f"tools with the session's own level: {_listed(report.tools.overridden)}"


def _standing(revision: int | None, parked: int | None) -> str:
    if revision is None:
        return "as a new one: it was never committed"
    if revision == parked:
        return f"at revision {revision}, where it was parked"
    return f"at revision {revision}; it was parked at {parked or 0}"


def _differences(report: RestoreReport) -> Iterator[str]:
    if report.plugins:
        yield f"plugins: {report.plugins.describe()}"
    if report.tools is not None:
        for what, names in (
            ("new tools", report.tools.new),
            ("tools that are gone, what was stored of them is kept", report.tools.vanished),
            ("tools that another source has now", report.tools.moved),
        ):
            if names:
                yield f"{what}: {_listed(names)}"
    if report.snapshots is not None and report.snapshots.kept:
        yield f"snapshots kept for plugins that are not here: {_listed(report.snapshots.kept)}"
    if report.healed is not None:
        to = f"moved to {report.healed.leaf}" if report.healed.leaf else "unset"
        yield f"leaf {report.healed.dangling} is not stored: {to}; the next commit keeps that"


def _turn(session: Session) -> Iterator[str]:
    turn = session.document.turn_index
    if session.interrupted:
        yield f"turn {turn} is interrupted: `lash turns continue` or `abandon` ends it"
    elif session.running and session.holder is not None:
        yield f"turn {turn} runs in {session.holder.describe()}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
