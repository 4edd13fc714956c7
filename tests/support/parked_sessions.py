"""Parks sessions and resumes them with other plugins and tools; `tests/e2e/test_parked_elsewhere.py` runs it twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import attrs
from lash_hookspecs.errors import LashError
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.payloads import Message
from lash_hookspecs.records.turn import TurnInput
from lash_store_sql.sqlite import open_sqlite
from walk_world import Setting, counter_of, environment

from lash_core import LashRuntime, ParkedSession, SessionSpec, TurnLimits

__all__ = ["PARKED", "RESUMED", "Places"]

#: Who is there when session ``n`` (modulo 4) is parked, and who is when it is resumed.
PARKED = (
    Setting(tools=("look", "pay", "old")),
    Setting(note=True, tools=("look", "pay", "old")),
    Setting(counter=0, note=True, tools=("look", "pay", "old")),
    Setting(counter=2, tools=("look", "pay", "old")),
)
RESUMED = (
    Setting(counter=2, tools=("look", "pay", "new")),
    Setting(tools=("look", "pay", "new")),
    Setting(counter=2, note=True, tools=("look", "pay", "new")),
    Setting(counter=0, note=True, tools=("look", "pay", "new")),
)


@attrs.frozen
class Places:
    """One process's view of the sessions."""

    store: StoreBackend

    @classmethod
    @asynccontextmanager
    async def opened(cls, path: Path) -> AsyncIterator[Self]:
        """Open the database."""
        store = await open_sqlite(f"sqlite:///{path}", True)
        try:
            yield cls(store)
        finally:
            await store.close()

    async def parked(self, number: int) -> dict[str, Any]:
        """Begin a session, run a turn in it, park it; its handle as JSON."""
        env = environment(PARKED[number % 4], self.store)
        runtime = await LashRuntime.from_environment(env, SessionSpec(session_id=f"s{number}", model="walk"))
        runtime.set_tool_availability(["look"], "callable")
        await _turn(runtime, f"hello {number}:look,pay")
        return (await runtime.park()).to_json()

    async def resumed(self, number: int, handle: dict[str, Any]) -> dict[str, Any]:
        """Resume a session, say what differs, run a turn and park it again."""
        setting = RESUMED[number % 4]
        try:
            runtime = await LashRuntime.resume(ParkedSession.from_json(handle), environment(setting, self.store))
        except LashError as error:
            return {"session_id": error.session_id, "error": type(error).__name__}
        told = _told(runtime, setting)
        answer = await _turn(runtime, "again:new")
        return told | {"answer": answer, "handle": (await runtime.park()).to_json()}

    async def delete(self, session_id: str) -> None:
        """Delete a session."""
        spec = SessionSpec(session_id=session_id, create=False)
        runtime = await LashRuntime.from_environment(environment(Setting(counter=2), self.store), spec)
        async with runtime:
            await runtime.delete()


def _told(runtime: LashRuntime, setting: Setting) -> dict[str, Any]:
    report, registry = runtime.report, runtime.session.parts.registry
    assert report.tools is not None
    assert report.snapshots is not None
    return {
        "session_id": runtime.session_id,
        "texts": [
            item.payload.text for item in runtime.items if isinstance(item.payload, Message) and item.payload.text
        ],
        "counter": counter_of(runtime.session.services).count if setting.counter else None,
        "overrides": {name: tool.override for name, tool in registry.items() if tool.override},
        "added": sorted(each.name for each in report.plugins.added),
        "removed": sorted(each.name for each in report.plugins.removed),
        "changed": {each.stored.name: [each.stored.version, each.present.version] for each in report.plugins.changed},
        "new_tools": list(report.tools.new),
        "vanished_tools": list(report.tools.vanished),
        "kept_snapshots": sorted(report.snapshots.kept),
    }


async def _turn(runtime: LashRuntime, text: str) -> str:
    result = await runtime.turn(TurnInput(text=text), TurnLimits(), lambda event: None)
    return result.text
