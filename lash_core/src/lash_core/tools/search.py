"""The tool by which a model finds the tools that it is not shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.tools import ToolSpec
from pydantic import JsonValue

__all__ = ["SEARCH", "ToolSearch", "ranked"]

#: Tools that one search finds.
_MOST = 5

_SEARCH_DESCRIPTION = (
    "Find more tools: there are some that are not listed here. Say in a few words what you want to do. "
    "What is found can be called from then on."
)

#: How the search tool is shown.
SEARCH = ToolSpec(
    name="search_tools",
    description=_SEARCH_DESCRIPTION,
    input_schema={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What the tool should do, or its name"}},
        "required": ["query"],
        "additionalProperties": False,
    },
    kind="idempotent",
)

_WORD = re.compile(r"[^\W_]+")

#: Words that say nothing about a tool.
_EMPTY = frozenset(_WORD.findall("a an and any are can do for from how i in is me my of on or the this to with"))


class ToolSearch:
    """A `ToolProvider` of the one tool ``search_tools``."""

    def __init__(self, candidates: Callable[[], Iterable[ToolSpec]], found: Callable[[Sequence[str]], object]) -> None:
        """Search tools.

        Args:
            candidates: Gives what can be found now.
            found: Told the names of what a search found, best first.
        """
        self._candidates = candidates
        self._found = found

    def specs(self) -> Sequence[ToolSpec]:
        """List the one tool."""
        return (SEARCH,)

    async def run(self, context: ToolCallContext) -> JsonValue:
        """Give names and descriptions of the tools that fit best."""
        arguments = context.call.arguments
        query = str(arguments["query"]) if isinstance(arguments, dict) else arguments
        best = ranked(query, self._candidates())[:_MOST]
        if not best:
            return "No tool fits. Try other words."
        self._found([spec.name for spec in best])
        return {"tools": [{"name": spec.name, "description": spec.description} for spec in best]}


def ranked(query: str, specs: Iterable[ToolSpec]) -> list[ToolSpec]:
    """Give the tools that share a word with a query, best first; a tool asked for by its name comes before all."""
    wanted = set(_words(query)) - _EMPTY
    scored = [(_score(query, wanted, spec), spec) for spec in specs]
    scored.sort(key=lambda pair: (-pair[0], pair[1].name))
    return [spec for score, spec in scored if score > 0]


def _score(query: str, wanted: set[str], spec: ToolSpec) -> float:
    """Count the query's words; those in the name or an alias thrice, in the namespace twice."""
    named = set(_words(spec.name)).union(*(_words(alias) for alias in spec.aliases))
    grouped, described = set(_words(spec.namespace)), set(_words(spec.description))
    score = sum(3 * (word in named) + 2 * (word in grouped) + (word in described) for word in wanted)
    return float("inf") if query.strip() == spec.name else float(score)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
