"""Plain functions as tools.

::

    @tool(kind="read_only")
    def word_count(text: str) -> int:
        '''Count the words of a text.'''
        return len(text.split())

    tools = FunctionTools([word_count])        # a ToolProvider

The schema comes from the annotations, the descriptions from the docstring (Google style). A plain function that was
never decorated works too and is ``side_effecting``. A function that returns a `ToolOutput` can end the turn.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_type_hints, overload

import attrs
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model
from pydantic_core import to_jsonable_python

from lash_hookspecs.errors import ConfigurationError, ToolError
from lash_hookspecs.protocols.tools import Attachment, ToolCallContext, ToolOutput
from lash_hookspecs.records.attachments import guess_media_type
from lash_hookspecs.records.text import clean_json
from lash_hookspecs.records.tools import Availability, ToolKind, ToolRetry, ToolSpec

__all__ = ["FunctionTools", "tool"]

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = "lash_tool"


@attrs.frozen
class _ToolOptions:
    kind: ToolKind = "side_effecting"
    name: str | None = None
    description: str | None = None
    serial: bool = False
    availability: Availability = "showcased"
    in_modes: Mapping[str, Availability] = attrs.field(factory=dict)
    retry: ToolRetry = attrs.field(factory=ToolRetry)
    keep: Literal["head", "tail"] = "head"
    namespace: str = ""
    aliases: tuple[str, ...] = ()


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    kind: ToolKind = ...,
    name: str | None = ...,
    description: str | None = ...,
    serial: bool = ...,
    availability: Availability = ...,
    in_modes: Mapping[str, Availability] = ...,
    retry: ToolRetry = ...,
    keep: Literal["head", "tail"] = ...,
    namespace: str = ...,
    aliases: Iterable[str] = ...,
) -> Callable[[F], F]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    kind: ToolKind = "side_effecting",
    name: str | None = None,
    description: str | None = None,
    serial: bool = False,
    availability: Availability = "showcased",
    in_modes: Mapping[str, Availability] | None = None,
    retry: ToolRetry | None = None,
    keep: Literal["head", "tail"] = "head",
    namespace: str = "",
    aliases: Iterable[str] = (),
) -> Callable[..., Any]:
    """Say how a function is offered as a tool; the function itself stays as it is.

    Args:
        function: The function, when used without parentheses.
        kind: What a repetition would do (T3); decides what happens to a call after a crash.
        name: The tool's name; the function's by default.
        description: For the model; the docstring's first paragraph by default.
        serial: Whether calls run alone, one after another.
        availability: How far it is available: ``off``, ``searchable``, ``callable`` or ``showcased``.
        in_modes: The same for single execution modes, by name.
        retry: How often a call that raised a retryable `ToolError` is made again; not for ``side_effecting``.
        keep: Which end of an oversize output the model sees.
        namespace: The group it belongs to, for search.
        aliases: More words by which it is found.
    """
    options = _ToolOptions(
        kind=kind,
        name=name,
        description=description,
        serial=serial,
        availability=availability,
        in_modes=dict(in_modes or {}),
        retry=retry or ToolRetry(),
        keep=keep,
        namespace=namespace,
        aliases=tuple(aliases),
    )

    def mark(marked: F) -> F:
        setattr(marked, _OPTIONS, options)
        return marked

    return mark(function) if function is not None else mark


class FunctionTools:
    """A `ToolProvider` made of functions, sync (run in a thread) or async."""

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        """Read the functions' signatures.

        Raises:
            ConfigurationError: A signature cannot be offered, or two tools have one name.
        """
        self._tools: dict[str, _FunctionTool] = {}
        for function in functions:
            made = _FunctionTool.of(function)
            if made.spec.name in self._tools:
                raise ConfigurationError(
                    f"two tools are named {made.spec.name!r}; give one of them another name with @tool(name=…)"
                )
            self._tools[made.spec.name] = made

    def specs(self) -> Sequence[ToolSpec]:
        """List the tools."""
        return tuple(made.spec for made in self._tools.values())

    async def run(self, context: ToolCallContext) -> Any:
        """Call the function with the call's arguments."""
        return await self._tools[context.call.tool].run(context)


@attrs.frozen
class _FunctionTool:
    spec: ToolSpec
    function: Callable[..., Any]
    arguments: type[BaseModel]
    context_parameter: str | None

    @classmethod
    def of(cls, function: Callable[..., Any]) -> _FunctionTool:
        if not callable(function):
            raise ConfigurationError(f"a tool cannot be {function!r:.80}: it must be a function")
        options = getattr(function, _OPTIONS, _ToolOptions())
        name = options.name or str(getattr(function, "__name__", type(function).__name__))
        summary, described = _docstring(inspect.getdoc(function) or "")
        try:
            hints = get_type_hints(function, include_extras=True)
        except NameError as error:
            raise ConfigurationError(f"tool {name!r}: its annotations cannot be resolved: {error}") from error
        fields: dict[str, Any] = {}
        context_parameter = None
        for parameter in inspect.signature(function).parameters.values():
            hint = hints.get(parameter.name, Any)
            if hint is ToolCallContext:
                context_parameter = parameter.name
                continue
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise ConfigurationError(
                    f"tool {name!r}: parameter {parameter} cannot be offered to a model; use named parameters"
                )
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (hint, Field(default, description=described.get(parameter.name)))
        arguments: type[BaseModel] = create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
        schema = arguments.model_json_schema()
        schema.pop("title", None)
        for field in schema.get("properties", {}).values():
            field.pop("title", None)
        schema.setdefault("properties", {})
        return cls(_spec(name, options.description or summary, schema, options), function, arguments, context_parameter)

    async def run(self, context: ToolCallContext) -> Any:
        given = context.call.arguments
        try:
            arguments = self.arguments.model_validate(given)
        except ValidationError as error:
            raise ToolError(_explain(error)) from error
        named = {field: getattr(arguments, field) for field in type(arguments).model_fields}
        if self.context_parameter:
            named[self.context_parameter] = context
        if inspect.iscoroutinefunction(self.function):
            value = await self.function(**named)
        else:
            value = await asyncio.to_thread(self.function, **named)
            if inspect.isawaitable(value):
                value = await value
        if isinstance(value, ToolOutput):
            return attrs.evolve(value, value=_plain(value.value))
        return "" if value is None else _plain(value)


def _plain(value: Any) -> Any:
    """Turn what a function returned into JSON in which attachments stand; bytes that are no text are one too."""
    if type(value) is str or isinstance(value, Attachment):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        return Attachment(data) if guess_media_type(data, None) is None else data.decode()
    if type(value) in (list, tuple):
        return [_plain(item) for item in value]
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    return to_jsonable_python(clean_json(value))


def _spec(name: str, description: str, schema: dict[str, JsonValue], options: _ToolOptions) -> ToolSpec:
    if options.retry.attempts > 1 and options.kind == "side_effecting":
        raise ConfigurationError(
            f"tool {name!r} is side_effecting and cannot be tried again; "
            "say kind='idempotent' or kind='read_only' if it is, or leave out retry"
        )
    marked = attrs.asdict(options, recurse=False)
    try:
        return ToolSpec.model_validate(marked | {"name": name, "description": description, "input_schema": schema})
    except ValidationError as error:
        if error.errors()[0]["loc"][0] != "name":
            raise ConfigurationError(f"tool {name!r}: {_explain(error)}") from error
        raise ConfigurationError(
            f"{name!r} is no name for a tool: use letters, digits, '_' and '-', at most 64 (@tool(name=…))"
        ) from error


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"]) or "arguments"
    return f"{where}: {first['msg']}"


_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Attributes|Notes?):\s*$")
_ARGUMENT = re.compile(r"^\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """Split a Google-style docstring into what it says before its first section, and its arguments."""
    summary: list[str] = []
    arguments: dict[str, str] = {}
    section = ""
    name = ""
    for line in text.splitlines():
        heading = _SECTION.match(line)
        if heading:
            section = heading.group(1)
        elif not section:
            summary.append(line)
        elif section in ("Args", "Arguments", "Parameters"):
            argument = _ARGUMENT.match(line)
            if argument:
                name = argument.group(1)
                arguments[name] = argument.group(2).strip()
            elif name and line.strip():
                arguments[name] += " " + line.strip()
    return "\n".join(summary).strip(), arguments
