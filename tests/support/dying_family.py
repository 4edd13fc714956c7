"""A process whose session has a child and a grandchild at work, and that is killed around a chosen commit.

Run as a script: the database, the session and the step of the commit, and ``before`` or ``after`` it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from families import Voices, environment, opened
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.sessions import SessionCreateRequest
from lash_hookspecs.records.state import CommitDocument
from lash_hookspecs.records.store import Commit, Receipt
from lash_hookspecs.records.turn import TurnInput
from lash_hookspecs.toolkit import tool
from lash_store_sql.database import parse_url
from lash_store_sql.sqlite import SqliteBackend, SqliteSession
from probes import ProbeModel, calls, says

__all__ = ["ask", "family_model"]

#: Who asks whom.
_BELOW = {"parent": "child", "child": "grandchild"}


@tool(kind="side_effecting")
async def ask(context: ToolCallContext) -> str:
    """Ask the session below."""
    assert context.session is not None
    request = SessionCreateRequest(
        session_id=_BELOW[context.session_id],
        first_input=TurnInput(text="work"),
        usage_source=f"{_BELOW[context.session_id]}s",
    )
    return (await (await context.session.create_session(request)).run()).text


def family_model() -> ProbeModel:
    """Parent and child ask below, and the grandchild works."""
    return Voices(
        parent=[calls(("ask", {}), input_tokens=100), says("all done", input_tokens=100)],
        child=[calls(("ask", {}), input_tokens=10), says("done", input_tokens=10)],
        grandchild=[says("did it", input_tokens=1)],
    )


class _Backend(SqliteBackend):
    def __init__(self, url: str, moment: tuple[str, str, str]) -> None:
        super().__init__(parse_url(url), create=True, clock=time.time)
        self.moment = moment

    def session(self, session_id: str) -> SqliteSession:
        return _Session(self, session_id)


class _Session(SqliteSession):
    def __init__(self, backend: _Backend, session_id: str) -> None:
        super().__init__(backend, session_id)
        self._dying = backend

    async def commit(self, commit: Commit) -> Receipt:
        step = CommitDocument.from_bytes(commit.record).step
        if self._dying.moment == (commit.session_id, step, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        receipt = await super().commit(commit)
        if self._dying.moment == (commit.session_id, step, "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return receipt


async def _main(url: str, session_id: str, step: str, when: str) -> None:
    backend = _Backend(url, (session_id, step, when))
    parent = await opened(environment(family_model(), store=backend, tools=(ask,)))
    await parent.turn(TurnInput(text="hi"))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4]))
