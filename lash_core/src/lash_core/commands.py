"""The commands of ``lash`` itself, as data: no plugin may take the name of one."""

from __future__ import annotations

__all__ = ["COMMANDS"]

#: Command → module, its attribute, and the help line that ``lash --help`` shows without importing it.
COMMANDS = {
    "run": ("lash_core.cli.run", "run", "Run one turn of a session."),
    "chat": ("lash_core.cli.chat", "chat", "Talk with a session, turn by turn."),
    "sessions": ("lash_core.cli.sessions", "sessions", "List, show, fork, park, change and delete sessions."),
    "fork": ("lash_core.cli.sessions", "fork", "Begin a new session where another one stands."),
    "branch": ("lash_core.cli.sessions", "branch", "Go back to an earlier node of a session."),
    "delete": ("lash_core.cli.sessions", "delete", "Delete a session."),
    "turns": ("lash_core.cli.turns", "turns", "List, continue and abandon interrupted turns."),
    "tasks": ("lash_core.cli.tasks", "tasks", "List, show and cancel background tasks."),
    "usage": ("lash_core.cli.usage", "usage", "Show what sessions have used."),
    "store": ("lash_core.cli.store", "store", "Look after the store: migrate, check, clean up, back up, copy."),
    "doctor": ("lash_core.cli.doctor", "doctor", "Say what is installed and configured, and what is wrong."),
    "plugins": ("lash_core.cli.plugins", "plugins", "Show the installed plugins."),
}
