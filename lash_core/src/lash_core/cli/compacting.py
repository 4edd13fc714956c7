"""``lash sessions compact``: a shorter history; the old one stays as a branch (G1)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import click
from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.records.payloads import Message, ToolInvocation
from lash_hookspecs.specs.history import lash_rewrite_history

from lash_core.app import Session
from lash_core.cli.opening import open_lash, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_text
from lash_core.graph.conversation import Item

__all__ = ["compact"]


@attrs.frozen
class _Size:
    """What a path holds of a conversation; messages count with the results of tools."""

    messages: int
    turns: int
    summaries: int


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--instructions", metavar="TEXT", default="", help="What the summary should mind; for a real model.")
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="How many of the last turns stay as they are.",
)
@common
def compact(shared: Shared, session_id: str, instructions: str, keep: int) -> None:
    """Fold the older turns of SESSION into a summary. The old path stays in its graph."""

    async def shorten() -> None:
        async with open_lash(shared, "sessions compact", session_id=session_id, as_stored=True) as lash:
            session = await lash.session(session_id, create=False)
            if not session.runtime.session.parts.hooks.handles(lash_rewrite_history):
                raise ConfigurationError(
                    "no installed plugin rewrites histories; one comes with: pip install 'lash-core[standard]'"
                )
            leaf, before = session.head.leaf if session.head else None, _size(await session.items())
            changed = await session.runtime.rewrite_history(instructions, keep_turns=keep)
            _tell(shared, session, leaf, before, _size(await session.items()), changed)

    run_async(shorten(), shared)


def _tell(shared: Shared, session: Session, leaf: str | None, before: _Size, after: _Size, changed: bool) -> None:
    made = max(0, after.summaries - before.summaries) or (1 if changed and after.summaries else 0)
    stayed = after.messages - made
    messages, turns = before.messages - stayed, before.turns - after.turns
    if shared.json:
        assert session.head is not None
        print_json(
            {
                "session_id": session.id,
                "changed": changed,
                "folded_messages": messages,
                "folded_turns": turns,
                "kept_messages": stayed,
                "kept_turns": after.turns,
                "head_revision": session.head.revision,
                "leaf": session.head.leaf,
                "previous_leaf": leaf if changed else None,
            }
        )
    elif not changed:
        print_text(f"nothing to compact: session {session.id} has {_plural(before.turns, 'turn')} on its path")
    else:
        print_text(
            f"folded {_plural(messages, 'message')} of {_plural(turns, 'turn')} of session {session.id} into a "
            f"summary; {_plural(stayed, 'message')} of {_plural(after.turns, 'turn')} stayed as they were"
        )
        print_text(f"go back with: lash branch {session.id} {leaf}")


def _size(items: Sequence[Item]) -> _Size:
    said = [item.payload for item in items if isinstance(item.payload, (Message, ToolInvocation))]
    summaries = sum(isinstance(each, Message) and each.marker == "summary" for each in said)
    users = [each for each in said if isinstance(each, Message) and each.role == "user" and each.marker != "summary"]
    alone = sum(each.turn_index is None for each in users)
    turns = len({each.turn_index for each in users if each.turn_index is not None}) + alone
    return _Size(len(said), turns, summaries)


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
