"""A loopback server that speaks OpenAI's Chat Completions API and forgives nothing.

It answers 400, in OpenAI's error format, to whatever one of the real services refuses: an unanswered tool call, a
tool call id used twice, a tool message out of place, an unknown role or parameter, an empty message, arguments that are
no JSON object, an image or a PDF that is none, a malformed tool schema and more; `validate` is the whole list. A wrong
key is a 401.

In a test::

    with StrictServer(key="secret") as server:
        server.script(Reply(tool_calls=[Call("add", {"a": 1})]), Reply(text=["It is ", "2."]))
        ...                                       # OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY=secret
        assert server.requests[-1].body["messages"][-1]["role"] == "tool"

As a process, which prints its base URL as the first line and serves until it is terminated::

    python tests/strict_server.py --port 0 --log requests.jsonl --script replies.json --key secret

A script is a list of replies, used in order; a reply with ``when`` waits until that text occurs in the last message of
a request. In a file, a reply is an object with the fields of `Reply` (keys of ``wait_for`` and ``touch`` are strings
there). ``server.respond = function`` answers by a function of the request instead; ``None`` from it means the default.
When nothing is scripted, `default_reply` answers: a user's line ``call TOOL {json}`` becomes that tool call (several
lines: several calls at once; a line ``then`` starts the next step of the same turn), anything else is echoed, and after
the last step the last tool results are.

Chunks are numbered from 1 in the order they are sent: reasoning, text, then the pieces of the tool calls, then the end.
``wait_for={2: path}`` holds chunk 2 back until the file exists (0: the whole answer); ``touch={1: path}`` makes
the file when chunk 1 is sent (0: when the request has come in); ``cut_after=1`` drops the connection behind chunk 1.

Each request is one JSON line in the log, written before the answer starts: time, method, path, status, error, body.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["ApiError", "Call", "Exchange", "Reply", "StrictServer", "default_reply", "validate"]

Json = dict[str, Any]

#: Seconds after which a reply that waits for a file gives up and cuts the connection.
WAIT_LIMIT = 60.0


@dataclass(frozen=True)
class Call:
    """A tool call of the model; ``arguments`` may be text, sent as it is (and so be invalid JSON)."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    id: str = ""

    @property
    def arguments_text(self) -> str:
        """The arguments as the API carries them."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True)
class Reply:
    """One scripted answer.

    Attributes:
        text: The text, in chunks.
        reasoning: Reasoning before the text, in chunks (the field ``reasoning_content``).
        tool_calls: Tool calls behind the text.
        usage: Replaces the counted usage, in OpenAI's format.
        finish_reason: Replaces what follows from the content; empty for none at all.
        status: An HTTP status; from 400 on, ``error`` is sent instead of an answer.
        error: The error's ``message``, ``type``, ``code``; a text is a message.
        stream_error: An error object sent inside the stream, behind the text.
        retry_after: Seconds for the header ``Retry-After``.
        headers: More headers.
        cut_after: Drop the connection behind this many chunks; 0 drops it before the status line.
        end_after: End the stream properly behind this many chunks, as a proxy does that lost its upstream.
        wait_for: Chunk number → file that must exist before it is sent.
        touch: Chunk number → file made when it was sent.
        when: Use this reply only for a request whose last message contains this text.
        model: Replaces the request's model in the answer.
    """

    text: Sequence[str] = ()
    reasoning: Sequence[str] = ()
    tool_calls: Sequence[Call] = ()
    usage: Json | None = None
    finish_reason: str | None = None
    status: int = 200
    error: Json | str = "scripted error"
    stream_error: Json | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    end_after: int | None = None
    wait_for: Mapping[int, Path | str] = field(default_factory=dict)
    touch: Mapping[int, Path | str] = field(default_factory=dict)
    when: str | None = None
    model: str | None = None

    @classmethod
    def from_json(cls, data: Json) -> Reply:
        """Read a reply of a script file."""
        unknown = set(data) - {known.name for known in fields(cls)}
        if unknown:
            raise ValueError(f"a reply has no field {', '.join(sorted(unknown))}")
        values = dict(data)
        for name in ("text", "reasoning"):
            if isinstance(values.get(name), str):
                values[name] = [values[name]]
        values["tool_calls"] = [Call(**call) for call in data.get("tool_calls", [])]
        for name in ("wait_for", "touch"):
            values[name] = {int(chunk): path for chunk, path in data.get(name, {}).items()}
        return cls(**values)


def default_reply(body: Json) -> Reply:
    """Answer as a model would that does what the user's lines say; see the top of the file."""
    messages: list[Json] = body["messages"]
    last_user = max((place for place, said in enumerate(messages) if said["role"] == "user"), default=-1)
    text = _text_of(messages[last_user]) if last_user >= 0 else ""
    behind = messages[last_user + 1 :]
    steps = [step for step in re.split(r"^\s*then\s*$", text, flags=re.MULTILINE) if step.strip()] or [""]
    done = sum(1 for message in behind if message["role"] == "assistant")
    calls = _calls_in(steps[done]) if done < len(steps) else []
    if calls:
        return Reply(tool_calls=calls)
    trailing = [_text_of(message) for message in behind[_last_assistant(behind) + 1 :] if message["role"] == "tool"]
    return Reply(text=["\n".join(trailing) if trailing else text])


def _calls_in(text: str) -> list[Call]:
    found = re.finditer(r"^\s*call\s+(\S+)[ \t]*(.*)$", text, flags=re.MULTILINE)
    return [Call(match[1], match[2].strip() or "{}") for match in found]


def _last_assistant(messages: Sequence[Json]) -> int:
    return max((place for place, message in enumerate(messages) if message["role"] == "assistant"), default=-1)


def _text_of(message: Json) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content if isinstance(content, str) else ""


class ApiError(Exception):
    """An answer other than 200, in OpenAI's format."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": code}}


_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_PARAMETERS = frozenset(
    {
        *("model", "messages", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options", "stop", "n"),
        *("temperature", "top_p", "max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty"),
        *("logit_bias", "logprobs", "top_logprobs", "seed", "response_format", "reasoning_effort", "verbosity", "user"),
        *("safety_identifier", "service_tier", "store", "metadata", "prediction", "modalities", "moderation"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
    }
)


def validate(body: object) -> None:
    """Refuse a request that a real service would refuse.

    Raises:
        ApiError: What is wrong, with the place in the request.
    """
    if not isinstance(body, dict):
        raise ApiError("The request body is not a JSON object.")
    unknown = sorted(set(body) - _PARAMETERS)
    if unknown:
        raise ApiError(f"Unrecognized request argument supplied: {', '.join(unknown)}")
    _refuse_surrogates(body)
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise ApiError("you must provide a model parameter")
    _validate_options(body)
    _validate_tools(body)
    _validate_messages(body.get("messages"))


def _refuse_surrogates(body: Json) -> None:
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ApiError("The request body holds a lone surrogate, which is no Unicode text.") from None


def _validate_options(body: Json) -> None:
    if not isinstance(body.get("stream", False), bool):
        raise ApiError("Invalid type for 'stream': expected a boolean.")
    if "stream_options" in body and not body.get("stream"):
        raise ApiError("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    if "max_tokens" in body and "max_completion_tokens" in body:
        raise ApiError("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    for name in ("max_tokens", "max_completion_tokens", "n"):
        value = body.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ApiError(f"Invalid '{name}': integer below minimum value. Expected a value >= 1.")
    for name, high in (("temperature", 2), ("top_p", 1)):
        value = body.get(name, 0)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= high:
            raise ApiError(f"Invalid '{name}': expected a number between 0 and {high}.")


def _validate_tools(body: Json) -> None:
    if "tools" not in body:
        for name in ("tool_choice", "parallel_tool_calls"):
            if name in body:
                raise ApiError(f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.")
        return
    tools = body["tools"]
    if not isinstance(tools, list) or not 1 <= len(tools) <= 128:
        raise ApiError("Invalid 'tools': expected an array of 1 to 128 tools.")
    names: set[str] = set()
    for place, tool in enumerate(tools):
        name = _validate_tool(tool, f"tools[{place}]")
        if name in names:
            raise ApiError(f"Invalid 'tools[{place}].function.name': tool names must be unique, got {name!r} twice.")
        names.add(name)
    _validate_tool_choice(body.get("tool_choice", "auto"), names)


def _validate_tool(tool: Any, where: str) -> str:
    if not isinstance(tool, dict) or tool.get("type") != "function" or not isinstance(tool.get("function"), dict):
        raise ApiError(f"Invalid '{where}': expected {{'type': 'function', 'function': {{…}}}}.")
    function = tool["function"]
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ApiError(f"Invalid '{where}.function.name': expected a string that matches '^[a-zA-Z0-9_-]{{1,64}}$'.")
    if not isinstance(function.get("description", ""), str):
        raise ApiError(f"Invalid type for '{where}.function.description': expected a string.")
    unknown = sorted(set(function) - {"name", "description", "parameters", "strict"})
    if unknown:
        raise ApiError(f"Unknown parameter: '{where}.function.{unknown[0]}'.")
    parameters = function.get("parameters", {"type": "object", "properties": {}})
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        raise ApiError(f"Invalid schema for function {name!r}: schema must be a JSON Schema of 'type: \"object\"'.")
    _validate_schema(parameters, parameters, name, (), strict=function.get("strict") is True)
    return name


def _validate_schema(schema: Any, root: Json, name: str, path: tuple[str, ...], *, strict: bool) -> None:
    where = f"Invalid schema for function {name!r}: In context={path}"
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise ApiError(f"{where}, {schema!r} is not of type 'object', 'boolean'.")
    kinds = schema.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind not in _TYPES:
            raise ApiError(f"{where}, {kind!r} is not valid under any of the given schemas.")
    if kinds == "array" and "items" not in schema:
        raise ApiError(f"{where}, array schema missing items.")
    _validate_reference(schema.get("$ref"), root, where)
    _validate_properties(schema, where, strict=strict)
    for step, part in _subschemas(schema):
        _validate_schema(part, root, name, (*path, *step), strict=strict)


def _validate_reference(reference: Any, root: Json, where: str) -> None:
    if reference is None:
        return
    found: Any = root
    for step in str(reference).removeprefix("#").strip("/").split("/"):
        found = found.get(step) if step and isinstance(found, dict) else found
    if not str(reference).startswith("#") or found is None:
        raise ApiError(f"{where}, reference {reference!r} cannot be resolved.")


def _validate_properties(schema: Json, where: str, *, strict: bool) -> None:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(properties, dict):
        raise ApiError(f"{where}, 'properties' is not an object.")
    if not isinstance(required, list) or not all(isinstance(key, str) for key in required):
        raise ApiError(f"{where}, 'required' is not an array of strings.")
    missing = sorted(set(required) - set(properties))
    if missing and "properties" in schema:
        raise ApiError(f"{where}, 'required' names {missing[0]!r}, which is not in 'properties'.")
    if strict and schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            raise ApiError(f"{where}, 'additionalProperties' is required to be supplied and to be false.")
        if set(required) != set(properties):
            raise ApiError(f"{where}, 'required' must include every key in properties when 'strict' is set.")


def _subschemas(schema: Json) -> Iterator[tuple[tuple[str, ...], Any]]:
    for keyword in ("properties", "$defs", "definitions"):
        for key, part in (schema.get(keyword) or {}).items():
            yield (keyword, key), part
    for keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for place, part in enumerate(schema.get(keyword) or []):
            yield (keyword, str(place)), part
    for keyword in ("items", "additionalProperties", "not"):
        if keyword in schema:
            yield (keyword,), schema[keyword]


def _validate_tool_choice(choice: Any, names: set[str]) -> None:
    if choice in ("auto", "none", "required"):
        return
    wanted = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    if wanted not in names:
        raise ApiError("Invalid value for 'tool_choice': expected 'none', 'auto', 'required' or one of the tools.")


def _validate_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise ApiError("Invalid 'messages': expected a non-empty array.")
    checker = _Conversation()
    for place, message in enumerate(messages):
        checker.add(message, f"messages[{place}]")
    checker.end()
    if messages[-1]["role"] == "assistant":
        raise ApiError("The last message must have role 'user' or 'tool', not 'assistant': prefill is not supported.")
    if all(message["role"] in ("system", "developer") for message in messages):
        raise ApiError("Invalid 'messages': at least one message must have role 'user'.")


class _Conversation:
    """Walks the messages and remembers which calls wait for their results."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._waiting: list[str] = []
        self._answered: set[str] = set()

    def add(self, message: Any, where: str) -> None:
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("system", "developer", "user", "assistant", "tool"):
            raise ApiError(
                f"Invalid value: {role!r} ('{where}.role'). Supported values are: "
                "'system', 'developer', 'user', 'assistant' and 'tool'."
            )
        if role == "tool":
            self._tool(message, where)
            return
        self.end()
        if role == "assistant":
            self._assistant(message, where)
        elif not _content(message, where, files=role == "user"):
            raise ApiError(f"Invalid '{where}.content': a {role} message must not be empty.")

    def end(self) -> None:
        """Nothing but tool results may stand between a call and its result."""
        if self._waiting:
            raise ApiError(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                "'tool_call_id'. The following tool_call_ids did not have response messages: "
                + ", ".join(self._waiting)
            )
        self._answered = set()

    def _tool(self, message: Json, where: str) -> None:
        call_id = message.get("tool_call_id")
        if not isinstance(call_id, str) or not call_id:
            raise ApiError(f"Missing parameter '{where}.tool_call_id': messages with role 'tool' must have one.")
        if call_id in self._answered:
            raise ApiError(f"Duplicate value for 'tool_call_id' of {call_id!r} in '{where}'.")
        if not self._waiting and not self._answered:
            raise ApiError(
                f"Invalid parameter: '{where}': messages with role 'tool' must be a response to a preceding message "
                "with 'tool_calls'."
            )
        if call_id not in self._waiting:
            raise ApiError(f"Invalid parameter: '{where}.tool_call_id' {call_id!r} not found in 'tool_calls'.")
        _content(message, where)  # text alone: the API carries no file in a tool message
        self._waiting.remove(call_id)
        self._answered.add(call_id)

    def _assistant(self, message: Json, where: str) -> None:
        calls = message.get("tool_calls")
        if calls is not None and (not isinstance(calls, list) or not calls):
            raise ApiError(f"Invalid '{where}.tool_calls': [] is too short.")
        content = _content(message, where) if message.get("content") is not None else ""
        if not content and not calls:
            raise ApiError(f"Invalid '{where}': an assistant message must have 'content' or 'tool_calls'.")
        for place, call in enumerate(calls or []):
            call_id = _validate_call(call, f"{where}.tool_calls[{place}]")
            if call_id in self._known:
                raise ApiError(f"Duplicate value for 'tool_call_id' of {call_id!r} in '{where}.tool_calls[{place}]'.")
            self._known.add(call_id)
            self._waiting.append(call_id)


def _validate_call(call: Any, where: str) -> str:
    if not isinstance(call, dict) or call.get("type") != "function" or not isinstance(call.get("function"), dict):
        raise ApiError(f"Invalid '{where}': expected {{'id': …, 'type': 'function', 'function': {{…}}}}.")
    call_id, function = call.get("id"), call["function"]
    if not isinstance(call_id, str) or not call_id:
        raise ApiError(f"Missing required parameter: '{where}.id'.")
    if len(call_id) > 40:
        raise ApiError(
            f"Invalid '{where}.id': string too long. Expected a string with maximum length 40, but got a string with "
            f"length {len(call_id)} instead."
        )
    if not isinstance(function.get("name"), str) or not _NAME.fullmatch(function["name"]):
        raise ApiError(f"Invalid '{where}.function.name': expected a string that matches '^[a-zA-Z0-9_-]{{1,64}}$'.")
    try:
        arguments = json.loads(function["arguments"], parse_constant=_refuse_constant)
    except (KeyError, TypeError, ValueError):
        raise ApiError(f"Invalid '{where}.function.arguments': expected valid JSON.") from None
    if not isinstance(arguments, dict):
        raise ApiError(f"Invalid '{where}.function.arguments': expected a JSON object.")
    return call_id


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _content(message: Json, where: str, *, files: bool = False) -> str:
    """Check a content and give what it says; an image or a file says something too."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise ApiError(f"Invalid value for '{where}.content': expected a string or a non-empty array of parts.")
    return "".join(_part(part, f"{where}.content[{place}]", files) for place, part in enumerate(content))


def _part(part: Any, where: str, files: bool) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if not files or kind not in ("image_url", "file"):
        raise ApiError(f"Invalid '{where}': expected {{'type': 'text', 'text': …}}.")
    given = part.get(kind)
    if not isinstance(given, dict):
        raise ApiError(f"Invalid type for '{where}.{kind}': expected an object.")
    if kind == "file" and not (isinstance(given.get("filename"), str) and given["filename"]):
        raise ApiError(f"Missing required parameter: '{where}.file.filename'.")
    url, known = (given.get("file_data"), _DOCUMENTS) if kind == "file" else (given.get("url"), _IMAGES)
    _validate_data_url(url, known, f"{where}.{kind}")
    return f"<{kind}>"


#: Media type → first bytes: a service looks at them, whatever the URL says.
_DOCUMENTS = {"application/pdf": b"%PDF-"}
_IMAGES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}


def _validate_data_url(url: Any, known: Mapping[str, bytes], where: str) -> None:
    if isinstance(url, str) and url.startswith("https://"):
        return
    found = re.fullmatch(r"data:([\w.+/-]+);base64,([A-Za-z0-9+/]+=*)", url) if isinstance(url, str) else None
    if found is None:
        raise ApiError(f"Invalid '{where}': expected a base64-encoded data URL with a media type.")
    try:
        data = base64.b64decode(found[2], validate=True)
    except ValueError:
        raise ApiError(f"Invalid base64 in '{where}'.") from None
    if found[1] not in known:
        raise ApiError(f"You uploaded an unsupported file in '{where}': {found[1]}. Supported: {', '.join(known)}.")
    if not data.startswith(known[found[1]]):
        raise ApiError(f"The data in '{where}' does not represent a valid {found[1]}.")


@dataclass
class Exchange:
    """One request, as it came and as it was answered.

    Attributes:
        method: ``POST`` or ``GET``.
        path: The path.
        body: The request; ``None`` if it was no JSON.
        status: The HTTP status; 0 when the connection was dropped instead.
        error: The error's message, if it was refused.
        time: Seconds since the epoch.
        ended: Set when the answer is over.
        outcome: ``complete``, ``cut`` (by the script) or ``client_gone``, once ``ended``.
    """

    method: str
    path: str
    body: Any
    status: int
    error: str | None
    time: float
    ended: threading.Event = field(default_factory=threading.Event)
    outcome: str = ""

    def line(self) -> str:
        """The request as a line of the log."""
        shown = {name: getattr(self, name) for name in ("time", "method", "path", "status", "error", "body")}
        return json.dumps(shown)


class StrictServer:
    """The server, on a free port of the loopback interface, in a thread of its own."""

    def __init__(
        self,
        *,
        key: str | None = None,
        models: Sequence[str] | None = None,
        log: Path | str | None = None,
        port: int = 0,
    ) -> None:
        """Bind the port; `start` serves.

        Args:
            key: The only key accepted; ``None`` accepts any, and none.
            models: The only models known; ``None`` knows every name.
            log: A file for one line per request.
            port: 0 picks a free one.
        """
        self.key = key
        self.models = models
        self.requests: list[Exchange] = []
        self.respond: Callable[[Json], Reply | None] | None = None
        self.closing = threading.Event()
        self._replies: list[Reply] = []
        self._log = Path(log) if log is not None else None
        self._changed = threading.Condition()
        self._calls = 0
        self._http = _HttpServer(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def base_url(self) -> str:
        """What ``OPENAI_BASE_URL`` is set to."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def bodies(self) -> list[Any]:
        """The bodies of all chat requests so far."""
        return [exchange.body for exchange in self.requests if exchange.method == "POST"]

    def script(self, *replies: Reply) -> None:
        """Add replies to the script."""
        with self._changed:
            self._replies.extend(replies)

    def start(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop, drop the open connections and release the port."""
        self.closing.set()
        self._http.shutdown()
        self._http.drop_connections()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> list[Exchange]:
        """Wait until that many requests have come in.

        Raises:
            TimeoutError: They did not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} of {count} requests came in within {timeout} s")
            return list(self.requests)

    def record(self, exchange: Exchange) -> None:
        """Remember a request and write its line."""
        with self._changed:
            self.requests.append(exchange)
            if self._log is not None:
                with self._log.open("a", encoding="utf-8") as log:
                    log.write(exchange.line() + "\n")
            self._changed.notify_all()

    def reply_to(self, body: Json) -> Reply:
        """Choose the answer to a valid request; every tool call gets an id of its own."""
        chosen = self.respond(body) if self.respond is not None else self._next_scripted(body)
        return chosen if chosen is not None else default_reply(body)

    def call_id(self) -> str:
        """Give a tool call id that was not given before, in this process or another."""
        with self._changed:
            self._calls += 1
            return f"call_{time.time_ns():x}_{self._calls}"

    def _next_scripted(self, body: Json) -> Reply | None:
        last = _text_of(body["messages"][-1])
        with self._changed:
            for place, reply in enumerate(self._replies):
                if reply.when is None or reply.when in last:
                    return self._replies.pop(place)
        return None


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: StrictServer) -> None:
        super().__init__(address, _Handler)
        self.owner = owner
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                _shut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            super().handle_error(request, client_address)


class _Cut(Exception):
    """The script drops the connection here."""


class _ClientGone(Exception):
    """The client closed the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the base class's
        """Say nothing on stderr; the log file is the log."""

    def do_GET(self) -> None:
        """Answer ``/v1/models``."""
        exchange = Exchange("GET", self.path, None, 200, None, time.time())
        try:
            self._authorize()
            if self.path != "/v1/models":
                raise ApiError(f"Invalid URL (GET {self.path})", status=404)
        except ApiError as error:
            self._refuse(exchange, error)
            return
        self.server.owner.record(exchange)
        names = self.server.owner.models or ["strict"]
        self._send_json(
            200, {"object": "list", "data": [{"id": name, "object": "model", "created": 0} for name in names]}
        )
        self._end(exchange, "complete")

    def do_POST(self) -> None:
        """Answer ``/v1/chat/completions``."""
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if len(raw) < length:  # the client died while it sent: that is no request
            self.close_connection = True
            return
        exchange = Exchange("POST", self.path, None, 200, None, time.time())
        try:
            exchange.body = _decode(raw)
            self._admit(exchange.body)
            reply = self.server.owner.reply_to(exchange.body)
            if reply.status >= 400:
                raise _scripted_error(reply)
        except ApiError as error:
            self._refuse(exchange, error)
            return
        self._answer(exchange, reply)

    def _admit(self, body: Any) -> None:
        self._authorize()
        if self.path != "/v1/chat/completions":
            raise ApiError(f"Invalid URL (POST {self.path})", status=404)
        validate(body)
        models = self.server.owner.models
        if models is not None and body["model"] not in models:
            raise ApiError(
                f"The model `{body['model']}` does not exist or you do not have access to it.",
                status=404,
                code="model_not_found",
            )

    def _authorize(self) -> None:
        key = self.server.owner.key
        if key is not None and self.headers.get("Authorization") != f"Bearer {key}":
            raise ApiError("Incorrect API key provided.", status=401, code="invalid_api_key")

    def _refuse(self, exchange: Exchange, error: ApiError) -> None:
        exchange.status, exchange.error = error.status, str(error)
        self.server.owner.record(exchange)
        self._send_json(error.status, error.body, error.headers)
        self._end(exchange, "complete")

    def _answer(self, exchange: Exchange, reply: Reply) -> None:
        if reply.cut_after == 0:
            exchange.status = 0
        self.server.owner.record(exchange)
        try:
            self._touch(reply, 0)
            self._wait(reply, 0)
            if reply.cut_after == 0:
                raise _Cut
            chunks = _chunks(exchange.body, reply, self.server.owner)
            if exchange.body.get("stream"):
                self._stream(reply, chunks)
            else:
                self._send_json(200, _whole(chunks), reply.headers)
        except _Cut:
            self._end(exchange, "cut")
        except (_ClientGone, ConnectionError):
            self._end(exchange, "client_gone")
        else:
            self._end(exchange, "complete")

    def _end(self, exchange: Exchange, outcome: str) -> None:
        if outcome != "complete":
            self.close_connection = True
            _shut(self.connection)
        exchange.outcome = outcome
        exchange.ended.set()

    def _stream(self, reply: Reply, chunks: Sequence[Json]) -> None:
        self.send_response(200)
        for name, value in {
            "Content-Type": "text/event-stream",
            "Transfer-Encoding": "chunked",
            **reply.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        for number, chunk in enumerate(chunks, 1):
            self._wait(reply, number)
            self._event(json.dumps(chunk))
            self._touch(reply, number)
            if reply.cut_after == number:
                raise _Cut
            if reply.end_after == number:
                break
        else:
            self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        self.wfile.flush()

    def _touch(self, reply: Reply, number: int) -> None:
        if number in reply.touch:
            Path(reply.touch[number]).touch()

    def _wait(self, reply: Reply, number: int) -> None:
        path = reply.wait_for.get(number)
        deadline = time.monotonic() + WAIT_LIMIT
        while path is not None and not Path(path).exists():
            if self._client_gone():
                raise _ClientGone
            if time.monotonic() > deadline or self.server.owner.closing.wait(0.01):
                raise _Cut

    def _client_gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True

    def _send_json(self, status: int, body: Json, headers: Mapping[str, str] = {}) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side was first
        connection.shutdown(socket.SHUT_RDWR)


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        raise ApiError("We could not parse the JSON body of your request.") from None


def _scripted_error(reply: Reply) -> ApiError:
    given = {"message": reply.error} if isinstance(reply.error, str) else reply.error
    wait = {} if reply.retry_after is None else {"Retry-After": f"{reply.retry_after:g}"}
    return ApiError(
        given.get("message", ""),
        status=reply.status,
        kind=given.get("type", "server_error" if reply.status >= 500 else "invalid_request_error"),
        code=given.get("code"),
        headers={**reply.headers, **wait},
    )


def _chunks(body: Json, reply: Reply, owner: StrictServer) -> list[Json]:
    common = {
        "id": f"chatcmpl-{owner.call_id()}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": reply.model or body["model"],
    }
    deltas: list[Json] = [{"reasoning_content": text} for text in reply.reasoning]
    deltas += [{"content": text} for text in reply.text]
    for place, call in enumerate(reply.tool_calls):
        deltas += _call_deltas(place, call, owner)
    chunks = [{**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    if reply.stream_error is not None:
        return [*chunks, {"error": reply.stream_error}]
    finish = reply.finish_reason
    if finish is None:
        finish = "tool_calls" if reply.tool_calls else "stop"
    last_delta = {"role": "assistant"} if chunks else {"role": "assistant", "content": ""}
    chunks.append({**common, "choices": [{"index": 0, "delta": last_delta, "finish_reason": finish or None}]})
    options = body.get("stream_options") or {}
    if not body.get("stream") or options.get("include_usage"):
        chunks.append({**common, "choices": [], "usage": reply.usage or _count(body, deltas)})
    return chunks


def _call_deltas(place: int, call: Call, owner: StrictServer) -> list[Json]:
    """A call comes as its name, then its arguments in two pieces, as from the real service."""
    text = call.arguments_text
    half = len(text) // 2
    opening = {"index": place, "id": call.id or owner.call_id(), "type": "function"}
    return [
        {"tool_calls": [{**opening, "function": {"name": call.name, "arguments": ""}}]},
        {"tool_calls": [{"index": place, "function": {"arguments": text[:half]}}]},
        {"tool_calls": [{"index": place, "function": {"arguments": text[half:]}}]},
    ]


def _count(body: Json, deltas: Sequence[Json]) -> Json:
    """A token for every four characters that came in, and one for each chunk that goes out."""
    sent = len(json.dumps(body["messages"])) // 4
    return {"prompt_tokens": sent, "completion_tokens": len(deltas), "total_tokens": sent + len(deltas)}


def _whole(chunks: Sequence[Json]) -> Json:
    """Fold the chunks of a stream into one answer."""
    message: Json = {"role": "assistant", "content": None}
    choice: Json = {"index": 0, "message": message, "finish_reason": None}
    whole = {**chunks[0], "object": "chat.completion", "choices": [choice]}
    for chunk in chunks:
        if "usage" in chunk:
            whole["usage"] = chunk["usage"]
        for part in chunk.get("choices", []):
            choice["finish_reason"] = part["finish_reason"] or choice["finish_reason"]
            _fold(message, part["delta"])
    return whole


def _fold(message: Json, delta: Json) -> None:
    for name in ("content", "reasoning_content"):
        if delta.get(name) is not None:
            message[name] = (message.get(name) or "") + delta[name]
    for piece in delta.get("tool_calls", []):
        calls = message.setdefault("tool_calls", [])
        if piece["index"] == len(calls):
            calls.append({"id": piece["id"], "type": "function", "function": dict(piece["function"])})
        else:
            calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve as a process."""
    parser = argparse.ArgumentParser(description="A strict OpenAI-compatible server on the loopback interface.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--log", type=Path, help="one JSON line per request")
    parser.add_argument("--script", type=Path, help="a JSON list of replies")
    parser.add_argument("--key", help="the only key accepted; any without it")
    options = parser.parse_args(arguments)
    server = StrictServer(key=options.key, log=options.log, port=options.port)
    if options.script:
        server.script(*map(Reply.from_json, json.loads(options.script.read_text(encoding="utf-8"))))
    with server:
        print(server.base_url, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
