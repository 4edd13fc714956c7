"""What one session may see and call now: its registry, as far as access, mode, plugins and overrides let it (T2)."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import PluginError, ToolError
from lash_hookspecs.records.tools import Availability, ToolAccess, ToolSpec, reaches

from lash_core.tools.hooks import ToolHooks
from lash_core.tools.registry import RegisteredTool, ToolRegistry
from lash_core.tools.search import SEARCH, ToolSearch

if TYPE_CHECKING:
    from lash_hookspecs.specs.tools import ToolPatch

__all__ = ["ToolSurface", "Unavailable"]

_log = logging.getLogger("lash.tools")


@attrs.frozen
class Unavailable:
    """Why a tool cannot be called.

    Attributes:
        code: ``unknown_tool`` or ``tool_unavailable``.
        message: The same for the model.
    """

    code: str
    message: str


class ToolSurface:
    """The tools of one session, as the model and the machine see them.

    A tool's level is the lowest that anybody insists on: the session's access list hides it for good; a plugin that
    says ``off`` takes it away; else the session's override counts, else what plugins say, else the tool's own level
    in the mode.

    Attributes:
        registry: Which tools there are.
        mode: The execution mode.
        access: Which tools the session may have at all.
        hooks: What plugins say, and the session that they and tools may ask; ``None`` outside of a session.
    """

    def __init__(
        self,
        registry: ToolRegistry,
        *,
        mode: str = "standard",
        access: ToolAccess | None = None,
        hooks: ToolHooks | None = None,
    ) -> None:
        self.registry = registry
        self.mode = mode
        self.access = access or ToolAccess()
        self.hooks = hooks
        self._patches: list[ToolPatch] | None = None
        search = ToolSearch(self._findable, lambda names: registry.set_availability(names, "showcased"))
        self._search = RegisteredTool(spec=SEARCH, source="lash", provider=search)

    @property
    def specs(self) -> Mapping[str, ToolSpec]:
        """Every tool that is known, by name, callable or not; follows what happens to the registry."""
        return _Known(self.registry)

    def offered(self) -> tuple[ToolSpec, ...]:
        """Give the tools that can be called now; schemas of lazy ones are not asked for."""
        try:
            self._patched()
        except PluginError as error:
            _log.error("no tools are offered: %s", error)
            return ()
        return tuple(tool.spec for tool in self._at_least("callable"))

    async def showcase(self) -> tuple[ToolSpec, ...]:
        """Give what a model request lists: the showcased tools, with their schemas.

        A tool whose schema or description cannot be had is logged and left out.

        Raises:
            PluginError: A plugin failed to say what it changes of the tools.
        """
        self._patches = None
        self._patched()
        shown = []
        for tool in self._at_least("showcased"):
            try:
                shown.append(await self._shown(tool))
            except ToolError as error:
                _log.warning("tool %r is left out: %s", tool.spec.name, error)
        return tuple(spec for spec in shown if spec is not None)

    async def ensure(self, names: Iterable[str]) -> None:
        """Look up names that nobody lists, so that `specs` knows their kind before the machine numbers a batch."""
        for name in names:
            if name not in self.registry and self.access.permits(name):
                try:
                    await self.registry.resolve(name)
                except ToolError as error:
                    _log.warning("tool %r is unknown: %s", name, error)

    async def find(self, name: str) -> RegisteredTool | Unavailable:
        """Give a tool that is called, or why it cannot be; what is hidden is refused before anybody is asked about it.

        Raises:
            PluginError: A plugin failed to say what it changes of the tools.
        """
        self._patched()
        if name == SEARCH.name and self._searches():
            return self._search
        if not self.access.permits(name):
            return self._withheld(name) if name in self.registry else self._unknown(name)
        try:
            tool = await self.registry.resolve(name)
        except ToolError as error:
            return Unavailable("tool_unavailable", f"The tool {name!r} is not available now: {error}")
        if tool is None:
            return self._unknown(name)
        level = self._level(tool)
        if level == "off":
            return self._withheld(name)
        if level == "searchable":
            return Unavailable("tool_unavailable", f"The tool {name!r} must be found with {SEARCH.name} first.")
        return tool

    def _patched(self) -> list[ToolPatch]:
        if self._patches is None:
            known = self.registry.values()
            self._patches = self.hooks.patches(self.mode, lambda: [tool.spec for tool in known]) if self.hooks else []
        return self._patches

    def _level(self, tool: RegisteredTool) -> Availability:
        if not self.access.permits(tool.spec.name):
            return "off"
        level = attrs.evolve(tool, override=None).level(self.mode)
        for patch in self._patches or ():
            if patch.tool == tool.spec.name and patch.availability is not None:
                if patch.availability == "off":
                    return "off"
                level = patch.availability
        return tool.override or level

    def _at_least(self, wanted: Availability) -> list[RegisteredTool]:
        tools = [tool for tool in self.registry.values() if reaches(self._level(tool), wanted)]
        return [*tools, self._search] if self._searches() else tools

    def _findable(self) -> list[ToolSpec]:
        """Give what a search may find."""
        return [tool.spec for tool in self.registry.values() if self._level(tool) in ("searchable", "callable")]

    def _searches(self) -> bool:
        if SEARCH.name in self.registry or SEARCH.name in self.access.hidden:
            return False
        return any(self._level(tool) in ("searchable", "callable") for tool in self.registry.values())

    async def _shown(self, tool: RegisteredTool) -> ToolSpec | None:
        name = tool.spec.name
        if tool is self._search:
            return tool.spec
        live = await self.registry.resolve(name)
        if live is None:
            return None
        notes = [patch.note for patch in self._patches or () if patch.tool == name and patch.note]
        if live.spec.input_schema is not None and not notes:
            return live.spec
        return live.spec.evolve(
            input_schema=await self.registry.contract(live),
            description="\n\n".join(text for text in (live.spec.description, *notes) if text),
        )

    def _withheld(self, name: str) -> Unavailable:
        return Unavailable("tool_unavailable", f"The tool {name!r} is not available in this session.")

    def _unknown(self, name: str) -> Unavailable:
        known = sorted(tool.spec.name for tool in self._at_least("callable"))
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return Unavailable("unknown_tool", f"There is no tool {name!r}.{hint} Tools: {', '.join(known) or 'none'}.")


class _Known(Mapping[str, ToolSpec]):
    """The specs of a registry, and the one of the search tool."""

    def __init__(self, registry: ToolRegistry) -> None:
        self._registry = registry

    def __getitem__(self, name: str) -> ToolSpec:
        if name == SEARCH.name and name not in self._registry:
            return SEARCH
        return self._registry[name].spec

    def __iter__(self) -> Iterator[str]:
        yield from self._registry
        if SEARCH.name not in self._registry:
            yield SEARCH.name

    def __len__(self) -> int:
        return len(self._registry) + (SEARCH.name not in self._registry)
