"""``lash turns``: unfinished turns, and what to do about them (L14)."""

from __future__ import annotations

import click
from lash_hookspecs.errors import InvalidInput

from lash_core.app import Session
from lash_core.cli.errors import OUTCOMES
from lash_core.cli.opening import agent_options, all_sessions, open_lash, open_store, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_table, print_text, timestamp
from lash_core.cli.tracing import TraceWish, trace_options
from lash_core.cli.turn_output import result_document, show_turn
from lash_core.runtime.summary import SessionSummary, summarise

__all__ = ["turns"]


@click.group()
@common
def turns(shared: Shared) -> None:
    """List, continue and abandon unfinished turns."""


@turns.command("list")
@click.option("--interrupted", is_flag=True, help="Only turns that nobody works on.")
@common
def list_turns(shared: Shared, interrupted: bool) -> None:
    """List the unfinished turns of all sessions: running ones and interrupted ones."""

    async def collect() -> list[SessionSummary]:
        async with open_store(shared) as store:
            found = [summarise(row) async for row in all_sessions(store, open_turn=True)]
        return [each for each in found if each.status == "interrupted" or not interrupted]

    found = run_async(collect(), shared)
    if shared.json:
        print_json(
            [
                {
                    "session_id": each.session_id,
                    "turn_index": each.turn_index,
                    "status": each.status,
                    "holder": each.holder.describe() if each.holder else None,
                    "updated_at": timestamp(each.updated_at),
                }
                for each in found
            ]
        )
    else:
        print_table(
            ("SESSION", "TURN", "STATUS", "HOLDER", "LAST COMMIT"),
            [
                (
                    each.session_id,
                    each.turn_index,
                    each.status,
                    each.holder.describe() if each.holder else "",
                    timestamp(each.updated_at),
                )
                for each in found
            ],
        )


@turns.command("continue")
@click.argument("session_id", metavar="SESSION")
@agent_options
@trace_options
@common
def continue_turn(
    shared: Shared,
    session_id: str,
    model: str | None,
    mode: str | None,
    root: str | None,
    host: str | None,
    trace: TraceWish,
) -> int:
    """Finish the interrupted turn of SESSION; what is finished is not repeated."""

    async def turn() -> int:
        async with open_lash(
            shared,
            "turns continue",
            session_id=session_id,
            model=model,
            mode=mode,
            root=root,
            host=host,
            runs_turns=True,
            trace=trace,
        ) as lash:
            session = _unfinished(await lash.session(session_id, create=False))
            result = await show_turn(session.continue_turn(), as_json=shared.json)
            return OUTCOMES[result.outcome]

    return run_async(turn(), shared)


@turns.command("abandon")
@click.argument("session_id", metavar="SESSION")
@common
def abandon_turn(shared: Shared, session_id: str) -> None:
    """Give up the interrupted turn of SESSION; its unanswered calls are marked."""

    async def abandon() -> None:
        async with open_lash(shared, "turns abandon", session_id=session_id) as lash:
            session = _unfinished(await lash.session(session_id, create=False))
            result = await session.abandon_turn()
            if shared.json:
                print_json(result_document(result))
            else:
                print_text(f"abandoned turn {result.turn_index} of session {session_id}")

    run_async(abandon(), shared)


def _unfinished(session: Session) -> Session:
    if session.interrupted or session.running:
        return session
    raise InvalidInput(
        f"session {session.id!r} has no interrupted turn; `lash turns list --interrupted` shows which have",
        session_id=session.id,
    )
