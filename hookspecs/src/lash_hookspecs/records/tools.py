"""Tools, calls and results, as data."""

from __future__ import annotations

import json
from typing import Any, Literal

import attrs
from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.model_base import Record

__all__ = [
    "LEVELS",
    "Availability",
    "ToolAccess",
    "ToolCall",
    "ToolControl",
    "ToolEntry",
    "ToolKind",
    "ToolRestoreReport",
    "ToolResult",
    "ToolRetry",
    "ToolSpec",
    "ToolState",
    "ToolStatus",
    "reaches",
]

#: What a repetition would do (T3): nothing, nothing more than the first, or harm.
ToolKind = Literal["read_only", "idempotent", "side_effecting"]

#: How a call ended. ``interrupted`` was never started, ``outcome_unknown`` may have happened (T6).
ToolStatus = Literal["ok", "error", "cancelled", "interrupted", "outcome_unknown"]

#: How far a tool is available, each step including those before it: not at all; found by a search; can be called;
#: sent to the model.
Availability = Literal["off", "searchable", "callable", "showcased"]

#: The ladder, lowest first.
LEVELS: tuple[Availability, ...] = ("off", "searchable", "callable", "showcased")

#: What a successful call does to its turn: ends it with the output as its answer, or stops it.
ToolControl = Literal["finish", "fail"]


def reaches(level: Availability, wanted: Availability) -> bool:
    """Tell whether a level includes another one."""
    return LEVELS.index(level) >= LEVELS.index(wanted)


class ToolRetry(Record):
    """How often a call that failed is made again; only for calls that may be repeated (T3).

    A call is made again when its tool raised a `ToolError` that says ``retryable``.

    Attributes:
        attempts: Attempts in all.
        first_wait: Seconds before the second attempt; doubled for each one after.
        longest_wait: Seconds at most, also when the tool asks for more.
    """

    attempts: int = Field(default=1, ge=1)
    first_wait: float = Field(default=1.0, ge=0)
    longest_wait: float = Field(default=30.0, ge=0)

    def wait(self, attempt: int, retry_after: float | None = None) -> float:
        """Give the seconds to wait after a failed attempt, counted from 1."""
        asked = self.first_wait * 2 ** (attempt - 1) if retry_after is None else max(retry_after, 0.0)
        return float(min(asked, self.longest_wait))


class ToolSpec(Record):
    """A tool as the model and the machine see it.

    Attributes:
        name: Unique within a session; letters, digits, ``_`` and ``-``.
        description: What it does, for the model.
        input_schema: JSON schema of the arguments; an object. ``None``: a provider that is `LazyContracts` is asked
            for it when the tool is called or showcased; of another one, any arguments are taken.
        kind: What a repetition would do (T3).
        serial: Whether it must run alone, after the parallel calls of its batch.
        availability: How far it is available in a session that says nothing about it.
        in_modes: The same for single execution modes, by name.
        retry: How often a failed call is made again.
        keep: Which end of an oversize output the model sees.
        namespace: The group it belongs to, for search.
        aliases: More words by which it is found.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = ""
    input_schema: dict[str, JsonValue] | None = None
    kind: ToolKind = "side_effecting"
    serial: bool = False
    availability: Availability = "showcased"
    in_modes: dict[str, Availability] = Field(default_factory=dict)
    retry: ToolRetry = ToolRetry()
    keep: Literal["head", "tail"] = "head"
    namespace: str = ""
    aliases: tuple[str, ...] = ()


class ToolCall(Record):
    """A call that a mode asks for.

    Attributes:
        call_id: Unique within the active path; the machine replaces an empty or used one.
        tool: The tool's name as the model wrote it; perhaps unknown.
        arguments: The arguments; the model's raw text where it was not a JSON object.
    """

    call_id: str
    tool: str
    arguments: dict[str, JsonValue] | str = Field(default_factory=dict)


class ToolResult(Record):
    """How a call ended, as the model is told.

    Attributes:
        call_id: The call's id.
        tool: The tool's name.
        status: How it ended.
        output: What the model sees: text, or JSON.
        error_code: For programs: ``unknown_tool``, ``tool_unavailable``, ``denied``, ``contract_unavailable``,
            ``invalid_arguments``, ``tool_failed``, ``plugin_failed`` …
        spilled: Ref of a blob with the whole output, when ``output`` is an extract or a projection of it (S11).
        duration_ms: How long it ran, in milliseconds, waits between attempts included.
        attempts: How often it was tried, when more than once.
        control: What it does to its turn, when it ended well.
        handoff: The session that takes over, when it ended well.
        attachments: Files that it returned, kept in the session's store; ``output`` says where they stand.
    """

    call_id: str
    tool: str
    status: ToolStatus = "ok"
    output: JsonValue = ""
    error_code: str | None = None
    spilled: str | None = None
    duration_ms: int | None = None
    attempts: int | None = None
    control: ToolControl | None = None
    handoff: str | None = None
    attachments: tuple[AttachmentRef, ...] = ()

    @property
    def text(self) -> str:
        """The output as text: itself, or its JSON."""
        return self.output if isinstance(self.output, str) else json.dumps(self.output, ensure_ascii=False)

    @model_serializer(mode="wrap")
    def _brief(self, encode: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what it does not say: most results have no files."""
        told: dict[str, Any] = encode(self)
        if not self.attachments:
            told.pop("attachments", None)
        return told


class ToolAccess(Record):
    """Which tools a session may have at all; nothing that a plugin or an override says goes beyond it.

    Attributes:
        allowed: The only ones; ``None`` for all.
        hidden: Those that it never has.
    """

    allowed: tuple[str, ...] | None = None
    hidden: tuple[str, ...] = ()

    def permits(self, name: str) -> bool:
        """Tell whether the session may have a tool."""
        return name not in self.hidden and (self.allowed is None or name in self.allowed)

    def narrowed(self, allowed: tuple[str, ...] | None, hidden: tuple[str, ...]) -> ToolAccess:
        """Give access to no more than this, and to no more than is said."""
        if self.allowed is not None:
            allowed = self.allowed if allowed is None else tuple(name for name in allowed if name in self.allowed)
        return ToolAccess(allowed=allowed, hidden=tuple(dict.fromkeys((*self.hidden, *hidden))))


class ToolEntry(Record):
    """What is kept about one tool.

    Attributes:
        source: Who had it.
        override: The session's own level for it.
        spec: The tool, when its source looked it up by name and does not list it.
    """

    source: str
    override: Availability | None = None
    spec: ToolSpec | None = None


class ToolState(Record):
    """What a commit keeps of a session's tools: no descriptions but those that cannot be had otherwise.

    Attributes:
        generation: Grows with every change.
        tools: By name, sorted.
    """

    generation: int = 0
    tools: dict[str, ToolEntry] = Field(default_factory=dict)


@attrs.frozen(kw_only=True)
class ToolRestoreReport:
    """What became of a stored `ToolState` (L5). Names are sorted.

    Attributes:
        generation: The generation that was adopted.
        overridden: Tools that got their stored level back.
        new: Tools that the state did not know; they have their own level.
        vanished: Tools of the state that are not there; what was stored of them is kept.
        moved: Tools that another source has now.
    """

    generation: int
    overridden: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
