"""``lash run``: one turn."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from lash_hookspecs.errors import ConflictBranched

from lash_core.attachments.reading import read_file
from lash_core.cli.errors import OUTCOMES
from lash_core.cli.opening import agent_options, open_lash, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_text
from lash_core.cli.plugin_calls import Explained
from lash_core.cli.tracing import TraceWish, trace_options
from lash_core.cli.turn_output import show_turn
from lash_core.runtime.conflicts import check_conflict_policy
from lash_core.runtime.environment import MAX_ATTACHMENT
from lash_core.runtime.text import check_session_id, check_text

__all__ = ["run"]


@click.command()
@click.argument("text")
@click.option("--session", "session_id", metavar="ID", default="", help="The session; a fresh one by default.")
@click.option("--resume", is_flag=True, help="Finish an interrupted turn first instead of abandoning it.")
@click.option("--attach", "paths", metavar="FILE", multiple=True, help="A file that goes along; may be repeated.")
@click.option(
    "--on-conflict",
    type=click.Choice(["raise", "branch", "queue"]),
    default="raise",
    help="When somebody else commits first: give up what the turn has made, or keep it as a branch and print its leaf.",
)
@click.option("--explain-plugins", "explain", is_flag=True, help="Show which plugins were called, and how long.")
@agent_options
@trace_options
@common
def run(
    shared: Shared,
    text: str,
    session_id: str,
    resume: bool,
    paths: tuple[str, ...],
    on_conflict: str,
    explain: bool,
    model: str | None,
    mode: str | None,
    root: str | None,
    host: str | None,
    trace: TraceWish,
) -> int:
    """Run one turn: TEXT is what you say, or - to read it from stdin.

    The answer goes to stdout, notices go to stderr. An interrupted turn of the session is abandoned unless --resume
    is given.
    """
    policy = check_conflict_policy(on_conflict)
    files = [read_file(Path(path), MAX_ATTACHMENT) for path in paths]
    said = check_text(sys.stdin.read().rstrip("\n") if text == "-" else text, alone=not files)
    chosen = check_session_id(session_id)
    explained = Explained() if explain else None
    greeting = None if session_id else f"new session {chosen}"

    async def turn() -> int:
        async with open_lash(
            shared,
            "run",
            session_id=chosen,
            make=True,
            model=model,
            mode=mode,
            root=root,
            host=host,
            runs_turns=True,
            trace=trace,
            on_hook_call=explained.note if explained is not None else None,
        ) as lash:
            session = await lash.session(chosen)
            begun = session.stream(said, attachments=files, resume=resume, on_conflict=policy)
            try:
                result = await show_turn(begun, as_json=shared.json, greeting=greeting, explained=explained)
            except ConflictBranched as kept:
                if not shared.json:
                    print_text(kept.leaf)
                raise
            return OUTCOMES[result.outcome]

    try:
        return run_async(turn(), shared)
    finally:
        if explained is not None and not explained.told:
            explained.show()
