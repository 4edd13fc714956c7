"""Tool providers that tests look through, and one call made as a turn makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lash_core.tools.attachments import Keep
from lash_core.tools.dispatch import ToolDispatch
from lash_core.tools.registry import ToolRegistry
from lash_core.tools.surface import ToolSurface
from lash_hookspecs.protocols.tools import ToolCallContext, ToolProvider
from lash_hookspecs.records.tools import ToolCall, ToolResult, ToolSpec

__all__ = ["Lazy", "Listed", "QuietServices", "Server", "Spilled", "call_context", "made", "run_call"]


class Listed:
    """Lists tools; each says that it ran, or does what it was given.

    Attributes:
        ran: The contexts of the calls.
        listed: What it lists now.
    """

    def __init__(self, *tools: str | ToolSpec, does: Callable[[ToolCallContext], Any] | None = None) -> None:
        self.ran: list[ToolCallContext] = []
        self.listed = [made(each) for each in tools]
        self._does = does

    def specs(self) -> Sequence[ToolSpec]:
        return list(self.listed)

    async def run(self, context: ToolCallContext) -> Any:
        self.ran.append(context)
        return self._does(context) if self._does else f"{context.call.tool} ran"


class Lazy(Listed):
    """A `LazyContracts`: each tool takes one integer ``a``.

    Attributes:
        asked: For which contracts it was asked, in order.
        failing: Tools whose contract cannot be had.
    """

    def __init__(self, *tools: str | ToolSpec) -> None:
        super().__init__(*tools)
        self.asked: list[str] = []
        self.failing: set[str] = set()

    async def contract(self, name: str) -> dict[str, Any]:
        self.asked.append(name)
        if name in self.failing:
            raise OSError("connection refused")
        return {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}


class Server(Listed):
    """A `DynamicTools`: it lists nothing and knows tools by name.

    Attributes:
        known: What it knows.
        asked: Which names were looked up, in order.
        down: Whether it can be asked.
    """

    def __init__(self, *known: str | ToolSpec) -> None:
        super().__init__()
        self.known = {spec.name: spec for spec in map(made, known)}
        self.asked: list[str] = []
        self.down = False

    async def resolve(self, name: str) -> ToolSpec | None:
        self.asked.append(name)
        if self.down:
            raise ConnectionError("no route")
        return self.known.get(name)


class Spilled:
    """Keeps whole outputs, as a store does."""

    def __init__(self) -> None:
        self.blobs: list[str] = []

    async def __call__(self, whole: bytes) -> str:
        self.blobs.append(whole.decode())
        return f"blob-{len(self.blobs)}"


def made(tool: str | ToolSpec) -> ToolSpec:
    """A read-only tool, when only its name matters."""
    return tool if isinstance(tool, ToolSpec) else ToolSpec(name=tool, kind="read_only")


def call_context(tool: str, /, **arguments: Any) -> ToolCallContext:
    call = ToolCall(call_id="call-1", tool=tool, arguments=arguments)
    return ToolCallContext(session_id="s", turn_id="t", call=call, idempotency_key="s:t-1")


async def run_call(
    tools: ToolSurface | ToolProvider, tool: str, /, *, keep: Keep | None = None, **arguments: Any
) -> ToolResult:
    """Make one call; nothing may be spilled."""
    surface = tools if isinstance(tools, ToolSurface) else ToolSurface(ToolRegistry([("it", tools)]))

    async def spill(whole: bytes) -> str:
        raise AssertionError("nothing is spilled")

    dispatch = ToolDispatch(surface=surface, spill=spill, keep=keep, clock=lambda: 0.0)
    result = await dispatch.run(call_context(tool, **arguments))
    assert (result.call_id, result.tool) == ("call-1", tool)
    return result


class QuietServices:
    """A session of which nothing is asked but its name; a test that asks for more fails."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id

    def view(self) -> Any:
        raise NotImplementedError

    async def create_session(self, request: Any) -> Any:
        raise NotImplementedError

    async def complete(self, request: Any) -> Any:
        raise NotImplementedError

    def set_tool_availability(self, names: tuple[str, ...], level: str | None) -> None:
        raise NotImplementedError

    def emit(self, plugin: str, name: str, body: Any = None) -> None:
        raise NotImplementedError

    def trace(self, plugin: str, name: str, **fields: Any) -> None:
        raise NotImplementedError

    @property
    def tasks(self) -> None:
        return None
