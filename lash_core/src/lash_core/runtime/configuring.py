"""A session's configuration, changed while it is open (L3)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs
from lash_hookspecs.errors import ConfigurationError, InvalidInput, PluginError, PolicyError
from lash_hookspecs.records.events import ConfigChanged
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.specs.config import ConfigProposed, lash_transform_config
from lash_hookspecs.specs.events import SessionConfigChanged, lash_on_config_changed
from pydantic import ValidationError

from lash_core.runtime.opened import OpenSession
from lash_core.runtime.policy import check_config, refuse_mode
from lash_core.runtime.resident import Change
from lash_core.runtime.rewriting import rewritten
from lash_core.runtime.text import check_storable

__all__ = ["configure"]


async def configure(session: OpenSession, changes: Mapping[str, Any]) -> SessionConfig:
    """Change the configuration and commit it, under the lease."""
    previous = session.config
    proposed = check_config(_changed(previous, changes))
    context = ConfigProposed(
        session=session.services, session_id=session.session_id, previous=previous, config=proposed
    )
    changed = await session.parts.hooks.transform(lash_transform_config, context, partial(_wrong, proposed))
    current = _storable(check_config(changed))
    if current.mode != previous.mode:
        raise refuse_mode(session.session_id, previous.mode, current.mode)
    fields = tuple(name for name in SessionConfig.model_fields if getattr(previous, name) != getattr(current, name))
    if not fields and session.document.config == current:
        return current
    change = await _shrunk(session, previous, current) or Change(step="config", document=session.document)
    change = attrs.evolve(
        change,
        step="config",
        document=session.document.evolve(config=current),
        plugins=session.plugins.of(current),
        events=(*change.events, ConfigChanged(fields=fields)) if fields else change.events,
    )
    await session.commit(change)
    session.spec = session.spec.agreeing_with(current)
    session.parts.tools.access = current.tool_access
    if fields:
        told = SessionConfigChanged(
            session_id=session.session_id, previous=previous, current=current, session=session.services
        )
        await session.parts.hooks.notify(lash_on_config_changed, told)
    return current


def _wrong(proposed: SessionConfig, config: SessionConfig) -> str:
    if config.mode != proposed.mode:
        return f"made a configuration of mode {config.mode!r}; a session keeps its mode, here {proposed.mode!r}"
    try:
        _storable(check_config(config))
    except PolicyError as error:
        return f"made a configuration that is refused: {error.message}"
    return ""


def _changed(config: SessionConfig, changes: Mapping[str, Any]) -> SessionConfig:
    for name in changes:
        if name not in SessionConfig.model_fields:
            near = difflib.get_close_matches(name, SessionConfig.model_fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            known = ", ".join(SessionConfig.model_fields)
            raise PolicyError(f"a session's configuration has no field {name!r}{hint} It has: {known}")
    try:
        return SessionConfig.model_validate({**config.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise PolicyError(f"{where}: {first['msg']}") from None  # what pydantic says shows the value


def _storable(config: SessionConfig) -> SessionConfig:
    try:
        check_storable(config, "the configuration")
    except InvalidInput as error:
        raise PolicyError(error.message) from None
    return config


async def _shrunk(session: OpenSession, previous: SessionConfig, current: SessionConfig) -> Change | None:
    """Let rewriters shorten the history for a smaller context window, with the same commit."""
    if (previous.context_window, previous.model) == (current.context_window, current.model):
        return None
    before, after = await _window(session, previous), (await session.policy(current)).context_window
    if before is not None and after >= before:
        return None
    try:
        return await rewritten(session, "window_shrink", "", after)
    except PluginError as error:
        size = "as it is" if before is None else f"at {before:,} tokens"
        raise PluginError(
            f"the context window stays {size}: {error.message}",
            session_id=session.session_id,
            plugin=error.plugin,
            step="window_shrink",
        ) from error


async def _window(session: OpenSession, config: SessionConfig) -> int | None:
    """Give the context size of a configuration; ``None`` when its model is not here any more: another one must do."""
    try:
        return (await session.policy(config)).context_window
    except ConfigurationError:
        return config.context_window
