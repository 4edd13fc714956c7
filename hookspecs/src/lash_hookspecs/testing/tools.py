"""`FakeTools`: tools that give what a test tells them to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lash_hookspecs.errors import ToolError
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.tools import ToolSpec

__all__ = ["FakeTools"]


@attrs.define
class FakeTools:
    """A `ToolProvider` of read-only tools, each with the output that it gives; an error is raised.

    ::

        tools = FakeTools({"search": "12 °C and rain", "fetch": ToolError("no such page")})

    Attributes:
        outputs: By the tools' names.
        listed: The tools as they are listed; made of the names unless a test says otherwise.
        calls: What was called, in order.
    """

    outputs: Mapping[str, Any]
    listed: tuple[ToolSpec, ...] = attrs.field()
    calls: list[ToolCallContext] = attrs.field(factory=list)

    @listed.default
    def _listed(self) -> tuple[ToolSpec, ...]:
        return tuple(
            ToolSpec(name=name, description=f"Give what the test says of {name}.", input_schema=_ANY, kind="read_only")
            for name in self.outputs
        )

    def specs(self) -> Sequence[ToolSpec]:
        """List the tools."""
        return self.listed

    async def run(self, context: ToolCallContext) -> Any:
        """Give the tool's output.

        Raises:
            ToolError: There is no such tool.
        """
        self.calls.append(context)
        if context.call.tool not in self.outputs:
            raise ToolError(f"there is no tool {context.call.tool!r}")
        output = self.outputs[context.call.tool]
        if isinstance(output, BaseException):
            raise output
        return output


_ANY: Any = {"type": "object", "properties": {}}
