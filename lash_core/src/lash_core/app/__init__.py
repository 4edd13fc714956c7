"""The front door for apps: `Lash`, `Agent`, `Session`, `Turn`."""

from lash_core.app.agent import Agent
from lash_core.app.lash import Lash
from lash_core.app.session import Session
from lash_core.app.stores import of_tenant, open_backend
from lash_core.app.turn import Turn
from lash_core.runtime.summary import SessionSummary

__all__ = ["Agent", "Lash", "Session", "SessionSummary", "Turn", "of_tenant", "open_backend"]
