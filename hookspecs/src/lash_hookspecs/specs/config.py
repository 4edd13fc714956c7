"""Hooks on a session's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lash_hookspecs.markers import transform

if TYPE_CHECKING:
    from lash_hookspecs.protocols.services import SessionServices
    from lash_hookspecs.records.state import SessionConfig

__all__ = ["ConfigProposed", "lash_transform_config"]


@attrs.frozen(kw_only=True)
class ConfigProposed:
    """A session's configuration is about to change.

    Attributes:
        session: The session.
        session_id: Its id.
        previous: The one in force.
        config: The one that is wanted, so far.
    """

    session: SessionServices
    session_id: str
    previous: SessionConfig
    config: SessionConfig


@transform("config", result="lash_hookspecs.records.state:SessionConfig", since="0.1")
async def lash_transform_config(context: ConfigProposed) -> SessionConfig:
    """Called before a changed configuration comes into force.

    Example::

        @implements(lash_transform_config)
        async def cool(context: ConfigProposed) -> SessionConfig:
            settings = {**context.config.model_settings, "temperature": 0.0}
            return context.config.evolve(model_settings=settings)
    """
    raise AssertionError("a specification is never called")
