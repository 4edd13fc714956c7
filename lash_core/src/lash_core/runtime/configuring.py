"""A session's configuration, changed while it is open (L3)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from lash_hookspecs.errors import ConfigurationError, PluginError, PolicyError
from lash_hookspecs.records.events import ConfigChanged
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.specs.config import ConfigProposed, lash_transform_config
from lash_hookspecs.specs.events import SessionConfigChanged, lash_on_config_changed
from pydantic import ValidationError

from lash_core.runtime.opened import OpenSession
from lash_core.runtime.policy import check_config
from lash_core.runtime.resident import Change
from lash_core.runtime.rewriting import rewrite_history

__all__ = ["configure"]


async def configure(session: OpenSession, changes: Mapping[str, Any]) -> SessionConfig:
    """Change the configuration and commit it, under the lease."""
    previous = session.config
    proposed = check_config(_changed(previous, changes))
    if proposed.mode != previous.mode:
        raise ConfigurationError(
            f"session {session.session_id!r} runs in mode {previous.mode!r}; a session keeps its mode, so start "
            f"another session for mode {proposed.mode!r}",
            session_id=session.session_id,
        )
    context = ConfigProposed(
        session=session.services, session_id=session.session_id, previous=previous, config=proposed
    )
    current = check_config(await session.parts.hooks.transform(lash_transform_config, context))
    fields = tuple(name for name in SessionConfig.model_fields if getattr(previous, name) != getattr(current, name))
    if not fields and session.document.config == current:
        return current
    await _shrink(session, previous, current)
    await session.commit(
        Change(
            step="config",
            document=session.document.evolve(config=current),
            events=(ConfigChanged(fields=fields),) if fields else (),
            plugins=session.plugins.of(current),
        )
    )
    session.spec = session.spec.agreeing_with(current)
    if fields:
        told = SessionConfigChanged(
            session_id=session.session_id, previous=previous, current=current, session=session.services
        )
        await session.parts.hooks.notify(lash_on_config_changed, told)
    return current


def _changed(config: SessionConfig, changes: Mapping[str, Any]) -> SessionConfig:
    for name in changes:
        if name not in SessionConfig.model_fields:
            near = difflib.get_close_matches(name, SessionConfig.model_fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = ", ".join(SessionConfig.model_fields)
            raise PolicyError(f"a session's configuration has no field {name!r}{hint} It has: {known}")
    try:
        return SessionConfig.model_validate({**config.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise PolicyError(f"{where}: {first['msg']}") from error


async def _shrink(session: OpenSession, previous: SessionConfig, current: SessionConfig) -> None:
    """Let rewriters shorten the history before the context window becomes smaller."""
    if current.context_window is None:
        return
    before = (await session.policy(previous)).context_window
    if current.context_window >= before:
        return
    try:
        await rewrite_history(session, "window_shrink", "", current.context_window)
    except PluginError as error:
        raise PluginError(
            f"the context window stays at {before:,} tokens: {error.message}",
            session_id=session.session_id,
            plugin=error.plugin,
            step="window_shrink",
        ) from error
