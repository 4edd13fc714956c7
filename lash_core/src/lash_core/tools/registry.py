"""Which tools there are, who has them, and what a session says about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs
from lash_hookspecs.errors import ConfigurationError, ToolError, UnknownName
from lash_hookspecs.protocols.tools import DynamicTools, LazyContracts, ToolProvider
from lash_hookspecs.records.tools import LEVELS, Availability, ToolEntry, ToolRestoreReport, ToolSpec, ToolState
from pydantic import JsonValue

from lash_core.plugins.manifest import did_you_mean
from lash_core.tools.strangers import settled

__all__ = ["RegisteredTool", "ToolRegistry"]


@attrs.frozen(kw_only=True)
class RegisteredTool:
    """A tool and who has it.

    Attributes:
        spec: The tool.
        source: Its source's name.
        provider: Its source.
        override: The session's own level for it.
        dynamic: Whether its source looked it up by name and does not list it.
        stored: Whether ``spec`` is what an earlier process stored; it is looked up again when it is needed.
    """

    spec: ToolSpec
    source: str
    provider: ToolProvider
    override: Availability | None = None
    dynamic: bool = False
    stored: bool = False

    def level(self, mode: str) -> Availability:
        """Give how far it is available in an execution mode: the override, else what its spec says."""
        return self.override or self.spec.in_modes.get(mode, self.spec.availability)


class ToolRegistry(Mapping[str, RegisteredTool]):
    """The tools of one session by name, from named sources.

    Attributes:
        generation: Grows with every change; an empty registry has 0.
    """

    def __init__(self, sources: Iterable[tuple[str, ToolProvider]] = ()) -> None:
        """Gather the tools of named sources.

        Raises:
            ConfigurationError: Two sources have a tool of one name.
        """
        self.generation = 0
        self._sources: dict[str, ToolProvider] = {}
        self._tools: dict[str, RegisteredTool] = {}
        self._vanished: dict[str, ToolEntry] = {}
        self._contracts: dict[str, tuple[ToolProvider, dict[str, JsonValue]]] = {}
        for source, provider in sources:
            self.add_source(source, provider)
        self.generation = min(self.generation, 1)

    def __getitem__(self, name: str) -> RegisteredTool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def add_source(self, source: str, provider: ToolProvider) -> int:
        """Add the tools of a new source; gives the generation.

        Raises:
            ConfigurationError: There is such a source, or another one has a tool of the same name; nothing changed.
        """
        if source in self._sources:
            raise ConfigurationError(f"there is a tool source {source!r} already; refresh it or remove it first")
        return self._replace(source, provider)

    def refresh_source(self, source: str, provider: ToolProvider | None = None) -> int:
        """List a source's tools anew; overrides stay. Gives the generation.

        Args:
            source: The source's name.
            provider: What takes its place, such as a new connection.

        Raises:
            UnknownName: There is no such source.
            ConfigurationError: Another source has a tool of the same name; nothing changed.
        """
        known = self._source(source)
        return self._replace(source, known if provider is None else provider)

    def remove_source(self, source: str) -> int:
        """Take a source's tools away, and what the session said about them; gives the generation.

        Raises:
            UnknownName: There is no such source.
        """
        self._source(source)
        del self._sources[source]
        self._tools = {name: tool for name, tool in self._tools.items() if tool.source != source}
        self._vanished = {name: entry for name, entry in self._vanished.items() if entry.source != source}
        self._contracts = {name: known for name, known in self._contracts.items() if name in self._tools}
        return self._changed()

    def set_availability(self, names: Iterable[str], level: Availability | None) -> int:
        """Say how far tools are available in this session, ``None`` for their own level; gives the generation.

        Raises:
            UnknownName: There is no such tool, or no such level; nothing changed.
        """
        wanted = list(names)
        if level is not None and level not in LEVELS:
            raise UnknownName(f"there is no availability {level!r}{did_you_mean(level, LEVELS)} ({', '.join(LEVELS)})")
        for name in wanted:
            if name not in self._tools:
                raise UnknownName(f"there is no tool {name!r}{did_you_mean(name, self._tools)}")
        if all(self._tools[name].override == level for name in wanted):
            return self.generation
        for name in wanted:
            self._tools[name] = attrs.evolve(self._tools[name], override=level)
        return self._changed()

    async def resolve(self, name: str) -> RegisteredTool | None:
        """Give a tool; one that nobody lists is looked up, and the first source that knows it has it from then on.

        Raises:
            ToolError: A source could not say, and no other knows the name.
        """
        known = self._tools.get(name)
        if known is not None and not known.stored:
            return known
        failure = None
        for source, provider in self._dynamic(first=known.source if known else None):
            try:
                found = await _look_up(source, provider, name)
            except ToolError as error:
                failure = failure or error
                continue
            if found is not None:
                return self._take_in(name, found, source)
        if failure is not None:
            if known is not None:
                return known  # what was stored of it stands until its source can be asked
            raise failure
        if known is not None and self._tools.get(name) is known:
            self._vanish(self._tools.pop(name))
            self._changed()
        return self._tools.get(name)

    async def contract(self, tool: RegisteredTool) -> dict[str, JsonValue]:
        """Give the JSON schema of a tool's arguments; a lazy provider is asked for it once.

        Raises:
            ToolError: The provider could not give it.
        """
        name = tool.spec.name
        if tool.spec.input_schema is not None:
            return tool.spec.input_schema
        provider = tool.provider
        if not isinstance(provider, LazyContracts):
            return {"type": "object", "properties": {}}
        known = self._contracts.get(name)
        if known is not None and known[0] is provider:
            return known[1]
        schema = await settled(lambda: provider.contract(name))
        if not isinstance(schema, dict):
            raise ToolError(f"{tool.source} gave {type(schema).__name__} as the schema of {name!r}, not an object")
        self._contracts[name] = (provider, schema)
        return schema

    def export_state(self) -> ToolState:
        """Give what a commit keeps: who has which tool, overrides, and what was stored of tools that are not there."""
        entries = dict(self._vanished)
        for name, tool in self._tools.items():
            entries[name] = _entry(tool)
        return ToolState(generation=self.generation, tools={name: entries[name] for name in sorted(entries)})

    def restore_state(self, state: ToolState) -> ToolRestoreReport:
        """Take over a stored state: its generation and overrides; what sources say of their tools stands (L5)."""
        entries = dict(state.tools)
        tools: dict[str, RegisteredTool] = {}
        for name, tool in self._tools.items():
            if not tool.dynamic:
                entry = entries.pop(name, None)
                tools[name] = attrs.evolve(tool, override=entry.override if entry else None)
        new = tools.keys() - state.tools.keys()
        vanished: dict[str, ToolEntry] = {}
        for name, entry in entries.items():
            found = self._tools.get(name) or self._stored(name, entry)
            if found is None:
                vanished[name] = entry
            else:
                tools[name] = attrs.evolve(found, override=entry.override)
        self.generation, self._tools, self._vanished = state.generation, tools, vanished
        return ToolRestoreReport(
            generation=state.generation,
            overridden=tuple(sorted(name for name, tool in tools.items() if tool.override is not None)),
            new=tuple(sorted(new)),
            vanished=tuple(sorted(vanished)),
            moved=tuple(
                sorted(
                    name
                    for name, tool in tools.items()
                    if name in state.tools and state.tools[name].source != tool.source
                )
            ),
        )

    def _stored(self, name: str, entry: ToolEntry) -> RegisteredTool | None:
        """Give a tool that an earlier process looked up, if its source still is one that can look it up."""
        provider = self._sources.get(entry.source)
        if provider is None or entry.spec is None or entry.spec.name != name or not isinstance(provider, DynamicTools):
            return None
        return RegisteredTool(spec=entry.spec, source=entry.source, provider=provider, dynamic=True, stored=True)

    def _source(self, source: str) -> ToolProvider:
        if source not in self._sources:
            raise UnknownName(f"there is no tool source {source!r}{did_you_mean(source, self._sources)}")
        return self._sources[source]

    def _replace(self, source: str, provider: ToolProvider) -> int:
        listed: dict[str, ToolSpec] = {}
        for spec in provider.specs():
            self._check_name(spec.name, source, listed)
            listed[spec.name] = spec
        self._sources[source] = provider
        for name, tool in list(self._tools.items()):
            if tool.source != source or name in listed:
                continue
            if tool.dynamic and isinstance(provider, DynamicTools):
                self._tools[name] = attrs.evolve(tool, provider=provider, stored=True)
            else:
                self._vanish(self._tools.pop(name))
        for name, spec in listed.items():
            override = self._override(name)
            self._tools[name] = RegisteredTool(spec=spec, source=source, provider=provider, override=override)
        for name in [name for name, tool in self._tools.items() if tool.source == source]:
            self._contracts.pop(name, None)
        return self._changed()

    def _check_name(self, name: str, source: str, listed: Mapping[str, ToolSpec]) -> None:
        if name in listed:
            raise ConfigurationError(f"tool {name!r} is offered twice by {source}; rename one of them")
        owner = self._tools.get(name)
        if owner is not None and owner.source != source:
            raise ConfigurationError(f"tool {name!r} is offered by {owner.source} and by {source}; rename one of them")

    def _override(self, name: str) -> Availability | None:
        """Give what the session says about a tool that comes, or comes back."""
        known = self._tools.get(name)
        gone = self._vanished.pop(name, None)
        if known is not None:
            return known.override
        return gone.override if gone is not None else None

    def _dynamic(self, first: str | None) -> Sequence[tuple[str, DynamicTools]]:
        found = [(name, each) for name, each in self._sources.items() if isinstance(each, DynamicTools)]
        return sorted(found, key=lambda pair: pair[0] != first)

    def _take_in(self, name: str, spec: ToolSpec, source: str) -> RegisteredTool | None:
        known = self._tools.get(name)
        if known is not None and not known.stored:
            return known  # somebody else looked it up meanwhile
        provider = self._sources.get(source)
        if provider is None:
            return None  # it was removed meanwhile
        tool = RegisteredTool(spec=spec, source=source, provider=provider, override=self._override(name), dynamic=True)
        self._tools[name] = tool
        if known is None or (known.spec, known.source) != (spec, source):
            self._contracts.pop(name, None)
            self._changed()
        return tool

    def _vanish(self, tool: RegisteredTool) -> None:
        self._vanished[tool.spec.name] = _entry(tool)
        self._contracts.pop(tool.spec.name, None)

    def _changed(self) -> int:
        self.generation += 1
        return self.generation


def _entry(tool: RegisteredTool) -> ToolEntry:
    return ToolEntry(source=tool.source, override=tool.override, spec=tool.spec if tool.dynamic else None)


async def _look_up(source: str, provider: DynamicTools, name: str) -> ToolSpec | None:
    try:
        found: object = await settled(lambda: provider.resolve(name))
    except ToolError as error:
        raise ToolError(f"{source} could not look up {name!r}: {error}") from error
    if found is None:
        return None
    if isinstance(found, ToolSpec) and found.name == name:
        return found
    raise ToolError(f"{source} gave {found!r} for {name!r}")
