"""The tools of one session: who has which, and how a call is validated and run (T2)."""

from __future__ import annotations

import asyncio
import difflib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from lash_hookspecs.errors import ConfigurationError, ToolError
from lash_hookspecs.protocols.tools import Attachment, ToolCallContext, ToolProvider
from lash_hookspecs.records.model_base import clean_json
from lash_hookspecs.records.tools import ToolCall, ToolResult, ToolSpec
from pydantic import JsonValue

from lash_core.tools.attachments import Keep, keep_attachments, set_aside

__all__ = ["ToolSurface", "output_text"]


@attrs.frozen
class _Entry:
    spec: ToolSpec
    provider: ToolProvider


class ToolSurface:
    """Every tool that a session may call, by name."""

    def __init__(self, providers: Sequence[tuple[str, ToolProvider]], keep: Keep | None = None) -> None:
        """Gather the tools of named providers.

        Args:
            providers: Who offers tools, with a name for messages.
            keep: Stores a file that a tool returned.

        Raises:
            ConfigurationError: Two providers have a tool of one name.
        """
        self._entries: dict[str, _Entry] = {}
        self._keep = keep
        owners: dict[str, str] = {}
        for owner, provider in providers:
            for spec in provider.specs():
                if spec.name in self._entries:
                    raise ConfigurationError(
                        f"tool {spec.name!r} is offered by {owners[spec.name]} and by {owner}; rename one of them"
                    )
                self._entries[spec.name] = _Entry(spec, provider)
                owners[spec.name] = owner

    @property
    def specs(self) -> Mapping[str, ToolSpec]:
        """The tools by name."""
        return {name: entry.spec for name, entry in self._entries.items()}

    async def run(self, context: ToolCallContext) -> ToolResult:
        """Run a call; whatever goes wrong is a result with the call's own id, for the model to read."""
        call = context.call
        entry = self._entries.get(call.tool)
        if entry is None:
            return _failed(call, "unknown_tool", self._unknown(call.tool))
        try:
            problem = _invalid(entry.spec, call)
        except Exception as error:  # noqa: BLE001  a provider's schema is a stranger's: one that is none is a result too
            return _failed(call, "tool_failed", f"The schema of {call.tool!r} cannot be used: {error}")
        if problem:
            return _failed(call, "invalid_arguments", problem)
        started = time.monotonic()
        files: dict[str, Attachment] = {}
        try:
            output = clean_json(set_aside(await entry.provider.run(context), files))
            result = ToolResult(call_id=call.call_id, tool=call.tool, output="" if output is None else output)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            result = _failed(call, "tool_failed", "The tool cancelled itself.")
        except ToolError as error:
            result = _failed(call, "tool_failed", error.message)
        except Exception as error:  # noqa: BLE001  whatever a tool raises is a result that the model reads
            result = _failed(call, "tool_failed", f"{type(error).__name__}: {error}")
        result = result.evolve(duration_ms=round((time.monotonic() - started) * 1_000))
        return await keep_attachments(result, files, self._keep) if files and result.status == "ok" else result

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._entries, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"There is no tool {name!r}.{hint} Tools: {', '.join(sorted(self._entries)) or 'none'}."


def output_text(output: JsonValue) -> str:
    """Give a tool's output as the text that a model sees."""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def _failed(call: ToolCall, code: str, message: str) -> ToolResult:
    return ToolResult(call_id=call.call_id, tool=call.tool, status="error", error_code=code, output=clean_json(message))


def _invalid(spec: ToolSpec, call: ToolCall) -> str | None:
    if isinstance(call.arguments, str):
        return f"The arguments of {call.tool!r} must be a JSON object; got: {call.arguments[:200]}"
    from jsonschema import Draft202012Validator  # 60 ms, and only needed once a tool is called

    validator: Any = Draft202012Validator(spec.input_schema)
    errors = sorted(validator.iter_errors(call.arguments), key=lambda error: list(map(str, error.absolute_path)))
    if not errors:
        return None
    told = "; ".join(
        f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message}" for error in errors[:3]
    )
    return f"The arguments of {call.tool!r} do not fit its schema: {told}"
