"""A life of two sessions in which every hook of a session is called, and plugins that handle one of them or all."""

from __future__ import annotations

import copy
import re
import types
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import attrs
from hook_kinds import plugin
from keeping_mode import keeping
from lash_core.plugins.manifest import OFFER_HOOKS
from lash_core.runtime.runtime import LashRuntime
from lash_hookspecs.errors import LashError
from lash_hookspecs.markers import hook_info, implements
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.turn import TurnInput, TurnLimits
from lash_hookspecs.specs import all_specs
from lash_hookspecs.specs.decisions import ALLOW
from lash_hookspecs.toolkit import FunctionTools
from lifetimes import DurableBackend
from probes import ProbeModel, calls, says
from script_files import plugins

from lash_core import RuntimeEnvironment, SessionSpec, tool

__all__ = ["SPECS", "Life", "alike", "bad", "good", "right_answer", "spoil"]

#: The specification of every hook that is called while sessions run.
SPECS = {name: spec for name, spec in sorted(all_specs().items()) if name not in OFFER_HOOKS.values()}

#: What is another in each run: ids, and how long a tool took.
_MINE = re.compile(r"""[0-9a-f]{12,}|(?<=duration_ms=)\d+|(?<=duration_ms":)\d+""")


def alike(text: str) -> str:
    """Give a text without what is another in each run."""
    return _MINE.sub("…", text)


def right_answer(spec: Callable[..., Any], context: Any) -> Any:
    """What a plugin answers that has nothing to say."""
    info = hook_info(spec)
    return {"observe": None, "guard": ALLOW, "offer": []}.get(info.kind, getattr(context, info.field, None))


def bad(spec: Callable[..., Any], does: Callable[[Any], Any]) -> types.ModuleType:
    """A plugin ``bad`` with one hook; what it does is awaited where the hook is async."""

    def plain(context: Any) -> Any:
        return does(context)

    async def waits(context: Any) -> Any:
        return await does(context)

    return plugin("bad", implements(spec)(plain if hook_info(spec).kind == "offer" else waits))


def good(heard: list[tuple[str, str]], name: str = "well", *, spoils: bool = False) -> types.ModuleType:
    """A plugin with every hook that notes what it is given, without ids; and spoils it then, if it should."""
    return plugin(name, *(_hearing(spec, heard, spoils) for spec in SPECS.values()))


def _hearing(spec: Callable[..., Any], heard: list[tuple[str, str]], spoils: bool) -> Callable[..., Any]:
    def plain(context: Any) -> Any:
        heard.append((spec.__name__, _shown(context)))
        answer = copy.deepcopy(right_answer(spec, context))
        if spoils:
            spoil(context)
        return answer

    async def waits(context: Any) -> Any:
        return plain(context)

    return implements(spec)(plain if hook_info(spec).kind == "offer" else waits)


def _shown(context: Any) -> str:
    fields = {name: getattr(context, name) for name in attrs.fields_dict(type(context)) if name not in _ALIVE}
    return alike(repr(fields))


#: Fields that are another in each run: the session itself, and when and by whom something was stored.
_ALIVE = ("session", "receipt")


def spoil(value: Any) -> None:
    """Change whatever can be changed in what a plugin is given."""
    for item in _inside(value):
        spoil(item)
    if isinstance(value, dict):
        value.clear()
        value["spoiled"] = True
    elif isinstance(value, list):
        value.append("spoiled")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, Record):
        return [getattr(value, name) for name in type(value).model_fields]
    if attrs.has(type(value)):
        return [getattr(value, name) for name in attrs.fields_dict(type(value))]
    if hasattr(value, "view"):
        view = value.view()
        return [view.config, *view.payloads]
    return []


class Life:
    """Sessions ``s``, with tools, and ``k``, whose mode keeps something; both are begun without any plugin.

    Attributes:
        store: Where they are.
        told: What became of each step.
        given: What the tool was called with.
        model: The model of the last step.
    """

    def __init__(self) -> None:
        self.store = DurableBackend()
        self.told: list[str] = []
        self.given: list[Any] = []
        self.model = ProbeModel()
        self._configurations = 0

        @tool(kind="read_only")
        async def look(at: list[dict[str, Any]]) -> list[dict[str, Any]]:
            self.given.append(copy.deepcopy(at))
            return [{"seen": at}]

        self._tools = FunctionTools([look])

    def environment(self, more: Iterable[object]) -> RuntimeEnvironment:
        """An environment whose model calls the tool once."""
        self.model = ProbeModel(calls(("look", {"at": [{"x": [1]}]}), text="I look"), otherwise=says("ok"))
        known = plugins(self.model, keeping(), *more)
        return RuntimeEnvironment(plugins=known, store=self.store, tool_sets=(), tools=self._tools)

    async def begin(self) -> None:
        """Commit a turn in each."""
        for runtime in [each async for each in self._opened(self.environment(()))]:
            await runtime.turn(TurnInput(text="first"), TurnLimits(), lambda event: None)
            await runtime.park()

    async def go_on(self, *more: object) -> None:
        """Open both with plugins, and do all that calls a hook; errors are told."""
        env = self.environment(more)
        async for runtime in self._opened(env):
            await self._step("turn", runtime.turn(TurnInput(text="second"), TurnLimits(), lambda event: None))
            await self._step("rewrite", runtime.rewrite_history())
            await self._step("config", runtime.update_session_config(model_settings=self._other()))
            self.told += [payload.to_bytes().decode() for payload in runtime.view().payloads]
            await self._step("park", runtime.park())
            await runtime.close()

    def _other(self) -> dict[str, Any]:
        self._configurations += 1
        return {"a": {"b": [self._configurations]}}

    async def _opened(self, env: RuntimeEnvironment) -> AsyncIterator[LashRuntime]:
        for session_id, mode in (("s", "standard"), ("k", "keeping")):
            spec = SessionSpec(session_id=session_id, model="probe", mode=mode)
            runtime = await self._step("open", LashRuntime.from_environment(env, spec))
            if runtime is not None:
                yield runtime

    async def _step(self, name: str, doing: Any) -> Any:
        try:
            done = await doing
        except LashError as error:
            self.told.append(f"{name}: {type(error).__name__}: {error}")
            return None
        self.told.append(f"{name}: {getattr(done, 'outcome', 'done')} {getattr(done, 'message', '')}")
        return done

    async def stored(self) -> list[bytes]:
        """Every payload of both sessions' paths and every component, as stored; without ids."""
        found: list[bytes] = []
        for session_id in ("s", "k"):
            session = self.store.session(session_id)
            head: Any = await session.head()
            found += [node.payload for node in await session.path(head.leaf)]
            bodies = await session.get_blobs(sorted(head.components.values()))
            found += [bodies[ref] for _, ref in sorted(head.components.items())]
        return [alike(body.decode()).encode() for body in found]
