"""Tools that differ from sound ones by a few lines, each breaking one clause; test_broken_kinds.py runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from lash_conformance import ToolConformance
from lash_hookspecs.errors import ToolError
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.tools import ToolSpec
from lash_hookspecs.specs.offers import ToolSetup

KEY = "sk-of-these-tools"

#: The name of each test class → the clause that its tools break; "" for none.
BREAKS: dict[str, str] = {}


def breaks(clause: str) -> Any:
    """Make a test class for tools, and say which clause they break."""

    def register(tools: type[PlainTools]) -> type[PlainTools]:
        name = f"Test{tools.__name__}"
        BREAKS[name] = clause
        globals()[name] = type(name, (_Plain,), {"__module__": __name__, "build_tools": tools})
        return tools

    return register


class _Plain(ToolConformance):
    calls: ClassVar = {"look": {"name": "milk"}, "put": {"name": "bread", "text": "rye"}, "hidden": {}}
    failing: ClassVar = {"look": {"name": "nobody"}}
    slow_call = ("rest", {})
    unlisted = ("hidden",)
    secrets = (KEY,)

    def prepare(self, setup: ToolSetup) -> None:
        (setup.root / "milk").write_text("two litres")


_NAMED = {"name": {"type": "string"}}


class PlainTools:
    """Reads and writes notes, and rests until it is cancelled."""

    def __init__(self, setup: ToolSetup) -> None:
        self.root, self.done = setup.root, set[str]()

    def specs(self) -> Sequence[ToolSpec]:
        schema: Any = {"type": "object", "properties": _NAMED, "required": ["name"]}
        return (
            ToolSpec(name="look", description="Look.", input_schema=schema, kind="read_only"),
            ToolSpec(name="put", description="Put.", input_schema=schema, kind="idempotent"),
            ToolSpec(name="rest", description="Rest.", input_schema={"type": "object"}, kind="read_only"),
        )

    async def resolve(self, name: str) -> ToolSpec | None:
        return ToolSpec(name="hidden", description="Hide.") if name == "hidden" else None

    async def run(self, context: ToolCallContext) -> Any:
        return await getattr(self, context.call.tool)(context, context.call.arguments)

    async def hidden(self, context: ToolCallContext, arguments: Any) -> Any:
        return "here"

    async def look(self, context: ToolCallContext, arguments: Any) -> Any:
        await asyncio.sleep(0)
        path = self.root / self.named(arguments)
        if not path.is_file():
            raise ToolError(f"there is no note {path.name!r}")
        return {"text": path.read_text()}

    async def put(self, context: ToolCallContext, arguments: Any) -> Any:
        if context.idempotency_key not in self.done:
            self.done.add(context.idempotency_key)
            with (self.root / self.named(arguments)).open("a") as file:
                file.write(str(arguments.get("text", "")))
        return "written"

    async def rest(self, context: ToolCallContext, arguments: Any) -> Any:
        await asyncio.get_running_loop().create_future()

    def named(self, arguments: Any) -> str:
        name = arguments.get("name")
        if not isinstance(name, str) or not name.isalnum():
            raise ToolError(f"{name!r} is no name of a note")
        return name


@breaks("")
class SoundTools(PlainTools): ...


@breaks("T2.specs")
class HasOneNameTwice(PlainTools):
    def specs(self) -> Sequence[ToolSpec]:
        return (*super().specs(), super().specs()[0])


@breaks("T2.specs")
class DescribesNoSchema(PlainTools):
    def specs(self) -> Sequence[ToolSpec]:
        look, *others = super().specs()
        return (look.evolve(input_schema={"type": "object", "properties": {"name": {"type": "text"}}}), *others)


@breaks("P12.stable")
class ListsOthersAfterACall(PlainTools):
    def specs(self) -> Sequence[ToolSpec]:
        return super().specs()[: 2 if self.done else 3]


@breaks("T2.results")
class GivesATuple(PlainTools):
    async def put(self, context: ToolCallContext, arguments: Any) -> Any:
        return (await super().put(context, arguments), self.root.name)


@breaks("T2.arguments")
class LeavesTheProcess(PlainTools):
    def named(self, arguments: Any) -> str:
        if "name" not in arguments:
            raise SystemExit(2)
        return super().named(arguments)


@breaks("T2.arguments")
class FailsWithoutAWord(PlainTools):
    def named(self, arguments: Any) -> str:
        if "name" not in arguments:
            raise ValueError
        return super().named(arguments)


@breaks("T2.errors")
class AnswersWhatFailed(PlainTools):
    async def look(self, context: ToolCallContext, arguments: Any) -> Any:
        try:
            return await super().look(context, arguments)
        except ToolError as error:
            return str(error)


@breaks("T3.read_only")
class CountsItsReaders(PlainTools):
    async def look(self, context: ToolCallContext, arguments: Any) -> Any:
        answer = await super().look(context, arguments)
        with (self.root / "readers").open("a") as file:
            file.write("1")
        return answer


@breaks("T3.idempotent")
class WritesTwiceUnderOneKey(PlainTools):
    async def put(self, context: ToolCallContext, arguments: Any) -> Any:
        self.done.clear()
        return await super().put(context, arguments)


@breaks("T3.parallel")
class AnswersWhoeverAskedLast(PlainTools):
    waiting = 0

    async def look(self, context: ToolCallContext, arguments: Any) -> Any:
        self.waiting += 1
        try:
            answer = await super().look(context, arguments)
            return answer if self.waiting == 1 else {"text": ""}
        finally:
            self.waiting -= 1


@breaks("T3.cancel")
class IsStuckOnceItWasCancelled(PlainTools):
    busy = False

    async def look(self, context: ToolCallContext, arguments: Any) -> Any:
        if self.busy:
            raise ToolError("somebody else is looking")
        try:
            return await super().look(context, arguments)
        except asyncio.CancelledError:
            self.busy = True
            raise


@breaks("T3.cancel")
class RestsOnWhenCancelled(PlainTools):
    async def rest(self, context: ToolCallContext, arguments: Any) -> Any:
        try:
            await super().rest(context, arguments)
        except asyncio.CancelledError:
            return "rested"


@breaks("T2.dynamic")
class FindsWhatNobodyHas(PlainTools):
    async def resolve(self, name: str) -> ToolSpec | None:
        return ToolSpec(name=name, description="Whatever you wish.")


@breaks("L13.secrets")
class TellsItsKey(PlainTools):
    def __repr__(self) -> str:
        return f"TellsItsKey({KEY!r})"
