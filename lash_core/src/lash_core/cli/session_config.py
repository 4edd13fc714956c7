"""``lash sessions config``: what is stored of how a session's turns are run, and how to change it (L3)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
from lash_hookspecs.errors import PolicyError
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.tools import ToolAccess

from lash_core.cli.opening import head_of, open_lash, open_store, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import one_line, print_json, print_table, print_text
from lash_core.plugins.manifest import did_you_mean
from lash_core.runtime.resident import read_document

__all__ = ["config"]

_TEXTS = ("model", "mode", "instructions")
#: Settings with such a word in their name are not shown, but for numbers of tokens.
_SECRET = ("pass", "secret", "token", "key", "credential", "authorization", "cookie")


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--set", "changes", metavar="NAME=VALUE", multiple=True, help="Change a value: JSON or text; repeatable.")
@common
def config(shared: Shared, session_id: str, changes: tuple[str, ...]) -> None:
    """Show the stored configuration of SESSION, or change it with --set."""
    wanted = _parse(changes)
    run_async(_change(shared, session_id, wanted) if wanted else _show(shared, session_id), shared)


async def _show(shared: Shared, session_id: str) -> None:
    async with open_store(shared) as store:
        head = await head_of(store, session_id)
    stored = _document(read_document(head).config)
    if shared.json:
        print_json({"session_id": session_id, "head_revision": head.revision, "config": stored})
    else:
        print_table(("NAME", "VALUE"), [(name, _cell(value)) for name, value in stored.items()])


async def _change(shared: Shared, session_id: str, wanted: dict[str, Any]) -> None:
    async with open_lash(shared, "sessions config", session_id=session_id, as_stored=True) as lash:
        session = await lash.session(session_id, create=False)
        before, leaf = session.document.config, session.head.leaf if session.head else None
        after = await session.runtime.update_session_config(**wanted)
        changed = [name for name in SessionConfig.model_fields if getattr(before, name) != getattr(after, name)]
        assert session.head is not None
        moved = session.head.leaf != leaf
        if shared.json:
            print_json(
                {
                    "session_id": session_id,
                    "head_revision": session.head.revision,
                    "changed": changed,
                    "config": _document(after),
                    "previous_leaf": leaf if moved else None,
                }
            )
            return
        print_text(f"session {session_id}: " + (f"changed {', '.join(changed)}" if changed else "nothing changed"))
        if moved:
            print_text(f"its history was shortened to fit; go back with: lash branch {session_id} {leaf}")


def _parse(changes: Sequence[str]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise click.BadParameter(f"{one_line(change, 60)!r} must be NAME=VALUE", param_hint="--set")
        if name in wanted:
            raise click.BadParameter(f"{name!r} is set twice", param_hint="--set")
        if name not in SessionConfig.model_fields:
            known = SessionConfig.model_fields
            raise PolicyError(
                f"a session's configuration has no field {name!r}{did_you_mean(name, known) or '.'} "
                f"It has: {', '.join(known)}"
            )
        wanted[name] = _value(name, value)
    return wanted


def _value(name: str, text: str) -> Any:
    """Read JSON; what is none is text, and so is everything but a string in quotes where a text is wanted."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if name in _TEXTS and not isinstance(value, str):
        return text
    if name == "tool_access" and isinstance(value, dict):
        for key in value:
            if key not in ToolAccess.model_fields:  # a misspelt restriction would be none
                raise PolicyError(f"tool_access has no field {key!r}{did_you_mean(key, ToolAccess.model_fields)}")
    return value


def _document(stored: SessionConfig) -> dict[str, Any]:
    document: dict[str, Any] = _redacted(stored.model_dump(mode="json"))
    return document


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "***" if _is_secret(key) and item else _redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return value


def _is_secret(key: str) -> bool:
    word = key.lower()
    return any(part in word for part in _SECRET) and not word.endswith("tokens")


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
