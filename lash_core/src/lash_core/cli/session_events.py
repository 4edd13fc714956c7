"""``lash sessions events``: what was committed, event by event (T9)."""

from __future__ import annotations

import json

import click

from lash_core.cli.opening import head_of, open_store, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import one_line, print_json_line, print_text, timestamp
from lash_core.runtime.reading import EventCursor, SequencedEvent, replay_events

__all__ = ["events"]

#: Characters of an event that a line for people shows.
_WIDTH = 160


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--after", metavar="CURSOR", help="Only what came behind this place, such as 12:3.")
@common
def events(shared: Shared, session_id: str, after: str | None) -> None:
    """Print the stored events of SESSION, one a line, each with its cursor; --json prints lines of JSON."""
    since = EventCursor.parse(after) if after is not None else None

    async def replay() -> None:
        async with open_store(shared) as store:
            await head_of(store, session_id)
            assert store is not None
            async for event in replay_events(store.session(session_id), since):
                if shared.json:
                    print_json_line(_document(event))
                else:
                    print_text(_line(event))

    run_async(replay(), shared)


def _document(found: SequencedEvent) -> dict[str, object]:
    return {
        "cursor": str(found.cursor),
        "committed_at": timestamp(found.committed_at),
        "turn_id": found.turn_id,
        "event": found.event.model_dump(mode="json", exclude_none=True),
    }


def _line(found: SequencedEvent) -> str:
    told = found.event.model_dump(mode="json", exclude_none=True, exclude={"type"})
    more = one_line(json.dumps(told, ensure_ascii=False), _WIDTH)
    return f"{found.cursor}  {timestamp(found.committed_at)}  {found.event.type}  {more}"
