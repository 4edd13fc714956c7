"""The strict server itself: each rule refuses, and each scripted answer does what it says."""

from __future__ import annotations

import base64
import copy
import http.client
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

PATH = Path(__file__).with_name("strict_server.py")

if "strict_server" not in sys.modules:
    spec = importlib.util.spec_from_file_location("strict_server", PATH)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["strict_server"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["strict_server"])

from strict_server import ApiError, Call, Reply, StrictServer, default_reply, validate  # noqa: E402

if TYPE_CHECKING:
    from strict_server import Json

Change = Callable[["Json"], object]

TOOL: Json = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"anyOf": [{"$ref": "#/$defs/Number"}, {"type": "null"}]}, "b": {"type": "string"}},
            "required": ["a"],
            "$defs": {"Number": {"type": "array", "items": {"type": "integer"}}},
        },
    },
}

VALID: Json = {
    "model": "m",
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "tools": [TOOL],
    "tool_choice": "auto",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "add"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
                {"id": "c2", "type": "function", "function": {"name": "add", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c2", "content": "2"},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "thanks"},
    ],
}


@pytest.fixture
def server() -> Iterator[StrictServer]:
    """A server that takes any key."""
    with StrictServer() as running:
        yield running


def post(
    server: StrictServer, body: object, *, key: str = "", path: str = "/v1/chat/completions"
) -> tuple[int, dict[str, str], str]:
    """Send a request over a connection of its own: status, headers, text."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(server.base_url, "POST", path, data, key)


def ask(url: str, method: str, path: str, data: bytes | None = None, key: str = "") -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, data, {"Authorization": f"Bearer {key}"} if key else {})
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read().decode()
    finally:
        connection.close()


def events(text: str) -> list[Any]:
    """The data of a stream's events, without the last one, which must be ``[DONE]``."""
    data = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert data.pop() == "[DONE]"
    return [json.loads(event) for event in data]


def user(text: str, **fields: Any) -> Json:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


def test_a_valid_request_is_let_through() -> None:
    """Parallel calls may be answered in any order, content may come in parts, schemas may refer."""
    validate(VALID)


def test_a_user_may_send_images_and_documents() -> None:
    """Alone or beside text, as data or, for an image, as the address of one."""
    document = {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{base64.b64encode(b'%PDF-').decode()}"}
    parts = [image(), image(url="https://example.org/x.png"), {"type": "file", "file": document}]
    validate(user("x") | {"messages": [{"role": "user", "content": parts}]})


def message(place: int) -> Callable[[Json], Json]:
    return lambda body: body["messages"][place]


def image(data: bytes = b"\x89PNG\r\n\x1a\n", kind: str = "image/png", url: str = "") -> Json:
    encoded = base64.b64encode(data).decode()
    return {"type": "image_url", "image_url": {"url": url or f"data:{kind};base64,{encoded}"}}


def function(body: Json) -> Json:
    return body["tools"][0]["function"]


def call(body: Json) -> Json:
    return body["messages"][2]["tool_calls"][0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda b: b.pop("model"), "model parameter"),
        (lambda b: b.update(model=""), "model parameter"),
        (lambda b: b.update(colour="red"), "Unrecognized request argument supplied: colour"),
        (lambda b: b.update(messages=[]), "'messages': expected a non-empty array"),
        (lambda b: b.update(stream="yes"), "'stream': expected a boolean"),
        (lambda b: b.update(stream=False), "'stream_options' parameter is only allowed"),
        (lambda b: b.update(temperature=3), "'temperature': expected a number between 0 and 2"),
        (lambda b: b.update(max_tokens=0), "'max_tokens': integer below minimum"),
        (lambda b: b.update(max_tokens=1, max_completion_tokens=1), "at the same time"),
        (lambda b: message(1)(b).update(role="human"), "Invalid value: 'human'"),
        (lambda b: message(1)(b).update(role="function"), "Invalid value: 'function'"),
        (lambda b: message(1)(b).update(content=""), "a user message must not be empty"),
        (lambda b: message(1)(b).update(content=None), "expected a string or a non-empty array"),
        (lambda b: message(1)(b).update(content=[]), "expected a string or a non-empty array"),
        (lambda b: message(1)(b).update(content=[{"type": "txt"}]), "content[0]"),
        (lambda b: message(1)(b).update(content="a\ud800"), "lone surrogate"),
        (lambda b: message(0)(b).update(content=[image()]), "content[0]': expected {'type': 'text'"),
        (lambda b: message(3)(b).update(content=[image()]), "content[0]': expected {'type': 'text'"),
        (lambda b: message(1)(b).update(content=[{"type": "image_url", "image_url": "x"}]), "expected an object"),
        (lambda b: message(1)(b).update(content=[image(url="file:///x")]), "expected a base64-encoded data URL"),
        (lambda b: message(1)(b).update(content=[image(kind="image/bmp")]), "unsupported file"),
        (lambda b: message(1)(b).update(content=[image(b"GIF89a")]), "does not represent a valid image/png"),
        (lambda b: message(1)(b).update(content=[image(b"")]), "expected a base64-encoded data URL"),
        (lambda b: message(1)(b).update(content=[{"type": "file", "file": {"file_data": "x"}}]), "file.filename"),
        (lambda b: message(0)(b).update(content=""), "a system message must not be empty"),
        (lambda b: message(5)(b).update(content=""), "must have 'content' or 'tool_calls'"),
        (lambda b: message(5)(b).update(content=None), "must have 'content' or 'tool_calls'"),
        (lambda b: message(5)(b).update(tool_calls=[]), "[] is too short"),
        (lambda b: b["messages"].pop(), "prefill is not supported"),
        (lambda b: b.update(messages=b["messages"][:1]), "at least one message must have role 'user'"),
        (lambda b: b["messages"].pop(3), "did not have response messages: c2"),
        (lambda b: b.update(messages=b["messages"][:3]), "did not have response messages: c1, c2"),
        (lambda b: b["messages"].insert(3, {"role": "user", "content": "x"}), "did not have response messages: c1, c2"),
        (lambda b: b["messages"].insert(2, {"role": "tool", "tool_call_id": "c", "content": "x"}), "a response to a"),
        (lambda b: b["messages"].append({"role": "tool", "tool_call_id": "c1", "content": "x"}), "a response to a"),
        (lambda b: message(3)(b).update(tool_call_id="c9"), "'c9' not found"),
        (lambda b: message(3)(b).pop("tool_call_id"), "tool_call_id"),
        (lambda b: message(4)(b).update(tool_call_id="c2"), "Duplicate value for 'tool_call_id' of 'c2'"),
        (lambda b: call(b).update(id="c2"), "Duplicate value for 'tool_call_id' of 'c2'"),
        (lambda b: b["messages"].extend(b["messages"][2:]), "Duplicate value for 'tool_call_id' of 'c1'"),
        (lambda b: call(b).update(id=""), "tool_calls[0].id"),
        (lambda b: call(b).update(id="c" * 41), "maximum length 40"),
        (lambda b: call(b).pop("type"), "tool_calls[0]'"),
        (lambda b: call(b)["function"].update(name="a b"), "tool_calls[0].function.name"),
        (lambda b: call(b)["function"].update(arguments='{"a": '), "expected valid JSON"),
        (lambda b: call(b)["function"].update(arguments='{"a": NaN}'), "expected valid JSON"),
        (lambda b: call(b)["function"].update(arguments=""), "expected valid JSON"),
        (lambda b: call(b)["function"].update(arguments={"a": 1}), "expected valid JSON"),
        (lambda b: call(b)["function"].update(arguments="[1]"), "expected a JSON object"),
        (lambda b: b.pop("tools"), "'tool_choice' is only allowed when 'tools' are specified"),
        (lambda b: b.update(tools=[]), "1 to 128 tools"),
        (lambda b: b.update(tools=[TOOL, TOOL]), "tool names must be unique"),
        (lambda b: b.update(tool_choice="any"), "'tool_choice'"),
        (lambda b: b.update(tool_choice={"type": "function", "function": {"name": "sub"}}), "'tool_choice'"),
        (lambda b: b["tools"][0].pop("type"), "Invalid 'tools[0]'"),
        (lambda b: function(b).update(name="files.read"), "tools[0].function.name"),
        (lambda b: function(b).update(name="x" * 65), "tools[0].function.name"),
        (lambda b: function(b).update(description=None), "tools[0].function.description"),
        (lambda b: function(b).update(kind="read_only"), "Unknown parameter: 'tools[0].function.kind'"),
        (lambda b: function(b).update(parameters={}), "schema must be a JSON Schema of 'type: \"object\"'"),
        (lambda b: function(b)["parameters"].update(properties=[]), "'properties' is not an object"),
        (lambda b: function(b)["parameters"].update(required="a"), "'required' is not an array of strings"),
        (lambda b: function(b)["parameters"].update(required=["z"]), "'required' names 'z'"),
        (lambda b: function(b)["parameters"]["properties"].update(b={"type": "text"}), "'text' is not valid"),
        (lambda b: function(b)["parameters"]["properties"].update(b="string"), "is not of type 'object', 'boolean'"),
        (lambda b: function(b)["parameters"]["properties"].update(b={"type": "array"}), "array schema missing items"),
        (lambda b: function(b)["parameters"].pop("$defs"), "reference '#/$defs/Number' cannot be resolved"),
        (lambda b: function(b).update(strict=True), "'additionalProperties' is required"),
        (
            lambda b: (function(b).update(strict=True), function(b)["parameters"].update(additionalProperties=False)),
            "'required' must include every key",
        ),
    ],
)
def test_a_rule_refuses(change: Change, complaint: str) -> None:
    """One change to the valid request breaks one rule."""
    body = copy.deepcopy(VALID)
    change(body)
    with pytest.raises(ApiError) as caught:
        validate(body)
    assert complaint in str(caught.value)
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"'])
def test_what_is_no_request_is_refused(server: StrictServer, body: bytes) -> None:
    """In OpenAI's error format, and in the log."""
    status, _, text = post(server, body)
    assert status == 400
    assert set(json.loads(text)["error"]) == {"message", "type", "param", "code"}
    assert server.requests[0].error == json.loads(text)["error"]["message"]


def test_a_key_is_asked_for() -> None:
    """The right one is let in."""
    with StrictServer(key="right") as server:
        assert [post(server, user("hi"), key=key)[0] for key in ("", "wrong", "right")] == [401, 401, 200]


def test_unknown_models_and_paths_are_not_found() -> None:
    """The known models are listed."""
    with StrictServer(models=["n"]) as server:
        status, _, text = post(server, user("hi"))
        assert (status, json.loads(text)["error"]["code"]) == (404, "model_not_found")
        assert post(server, user("hi"), path="/v1/responses")[0] == 404
        status, _, text = ask(server.base_url, "GET", "/v1/models")
        assert (status, [model["id"] for model in json.loads(text)["data"]]) == (200, ["n"])


def test_a_whole_answer_and_a_stream_say_the_same(server: StrictServer) -> None:
    """Text, reasoning, calls, finish reason and usage, with the arguments in pieces in the stream."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    reply = Reply(reasoning=["h", "m"], text=["a", "b"], tool_calls=[Call("add", {"a": 1}, id="c1")], usage=usage)
    server.script(reply, reply)
    whole = json.loads(post(server, user("x"))[2])
    assert whole["choices"] == [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "reasoning_content": "hm",
                "content": "ab",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}],
            },
        }
    ]
    assert whole["usage"] == usage
    streamed = events(post(server, user("x", stream=True, stream_options={"include_usage": True}))[2])
    deltas = [choice["delta"] for event in streamed for choice in event["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == "ab"
    pieces = [piece["function"]["arguments"] for delta in deltas for piece in delta.get("tool_calls", [])]
    assert "".join(pieces) == '{"a": 1}'
    assert streamed[-1]["usage"] == usage


def test_usage_is_streamed_only_when_it_is_asked_for(server: StrictServer) -> None:
    """As the real service does."""
    assert not [event for event in events(post(server, user("x", stream=True))[2]) if "usage" in event]


def test_the_default_answer_calls_the_tools_that_the_user_names() -> None:
    """Step by step; then it tells the last results."""
    messages: list[Json] = [{"role": "user", "content": 'Please\ncall read {"path": "a"}\ncall list\nthen\ncall end'}]
    body = {"model": "m", "messages": messages}
    first = default_reply(body).tool_calls
    assert [(made.name, made.arguments_text) for made in first] == [("read", '{"path": "a"}'), ("list", "{}")]
    messages += [{"role": "assistant"}, {"role": "tool", "content": "A"}, {"role": "tool", "content": "B"}]
    assert [made.name for made in default_reply(body).tool_calls] == ["end"]
    messages += [{"role": "assistant"}, {"role": "tool", "content": "C"}]
    assert default_reply(body).text == ["C"]
    assert default_reply(user("hello")).text == ["hello"]


def test_every_call_gets_an_id_of_its_own(server: StrictServer) -> None:
    """Within a request and over all of them."""
    ids = []
    for _ in range(2):
        made = json.loads(post(server, user("call a\ncall b"))[2])["choices"][0]["message"]["tool_calls"]
        ids += [call["id"] for call in made]
    assert len(set(ids)) == 4
    assert max(map(len, ids)) <= 40


def test_replies_are_used_in_order_or_where_they_fit(server: StrictServer) -> None:
    """A reply with ``when`` waits for its request; behind the script comes the default."""
    server.script(Reply(text=["special"], when="magic"), Reply(text=["first"]))
    answers = [json.loads(post(server, user(text))[2]) for text in ("a", "the magic word", "b")]
    assert [answer["choices"][0]["message"]["content"] for answer in answers] == ["first", "special", "b"]


def test_a_function_may_answer(server: StrictServer) -> None:
    """By what was asked; ``None`` leaves it to the default."""
    server.respond = lambda body: Reply(text=["yes"]) if "?" in body["messages"][-1]["content"] else None
    answers = [json.loads(post(server, user(text))[2]) for text in ("well?", "well")]
    assert [answer["choices"][0]["message"]["content"] for answer in answers] == ["yes", "well"]


def test_an_error_can_be_scripted(server: StrictServer) -> None:
    """With its status, its code and the time to wait."""
    server.script(Reply(status=429, retry_after=2, error={"message": "slow", "code": "rate_limit_exceeded"}))
    status, headers, text = post(server, user("x"))
    assert (status, headers["Retry-After"]) == (429, "2")
    assert json.loads(text)["error"] == {
        "message": "slow",
        "type": "invalid_request_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }


@pytest.mark.parametrize("cut_after", [0, 1])
def test_a_connection_can_be_cut(server: StrictServer, cut_after: int) -> None:
    """Before the status line or in the middle of the stream: the client sees that something is missing."""
    server.script(Reply(text=["a", "b"], cut_after=cut_after))
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        post(server, user("x", stream=True))
    assert server.requests[0].ended.wait(10)
    assert server.requests[0].outcome == "cut"


def test_a_stream_can_end_early_in_good_order(server: StrictServer) -> None:
    """There is no end mark, and no error either."""
    server.script(Reply(text=["a", "b"], end_after=1))
    text = post(server, user("x", stream=True))[2]
    assert '"a"' in text
    assert '"b"' not in text
    assert "[DONE]" not in text


def test_an_error_can_come_inside_the_stream(server: StrictServer) -> None:
    """Behind the text that came before."""
    server.script(Reply(text=["a"], stream_error={"message": "crash"}))
    assert events(post(server, user("x", stream=True))[2])[-1] == {"error": {"message": "crash"}}


def test_a_chunk_waits_for_a_file_and_tells_by_another(server: StrictServer, tmp_path: Path) -> None:
    """So a test knows where an answer is, and holds it there."""
    came, sent, go_on = tmp_path / "came", tmp_path / "sent", tmp_path / "go on"
    server.script(Reply(text=["a", "b"], touch={0: came, 1: sent}, wait_for={2: go_on}))
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=20)
    connection.request("POST", "/v1/chat/completions", json.dumps(user("x", stream=True)))
    response = connection.getresponse()
    assert b'"a"' in response.readline()
    assert came.exists()
    assert not server.requests[0].ended.is_set()
    go_on.touch()
    assert b'"b"' in response.read()
    assert sent.exists()
    connection.close()


def test_a_client_that_leaves_is_noticed(server: StrictServer, tmp_path: Path) -> None:
    """Also while an answer is held back."""
    server.script(Reply(text=["a"], wait_for={0: tmp_path / "never"}))
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc)
    connection.request("POST", "/v1/chat/completions", json.dumps(user("x")))
    server.wait_for_requests(1)
    connection.close()
    assert server.requests[0].ended.wait(10)
    assert server.requests[0].outcome == "client_gone"


def test_a_request_whose_sender_died_half_way_is_none(server: StrictServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b'{"model": ')
    connection.close()
    whole = http.client.HTTPConnection(urlsplit(server.base_url).netloc)
    whole.request("POST", "/v1/chat/completions", json.dumps(user("x")))
    assert whole.getresponse().status == 200
    whole.close()
    assert [each.status for each in server.requests] == [200]


def test_closing_ends_an_answer_that_is_held_back(tmp_path: Path) -> None:
    """No thread stays behind."""
    server = StrictServer().start()
    server.script(Reply(text=["a"], wait_for={0: tmp_path / "never"}))
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc)
    connection.request("POST", "/v1/chat/completions", json.dumps(user("x")))
    server.wait_for_requests(1)
    server.close()
    connection.close()
    assert [thread.name for thread in threading.enumerate() if "process_request" in thread.name] == []


def test_waiting_for_requests_has_a_deadline(server: StrictServer) -> None:
    """A test that waits in vain says for what."""
    with pytest.raises(TimeoutError, match=r"0 of 1 requests came in within 0\.01 s"):
        server.wait_for_requests(1, timeout=0.01)


def test_as_a_process_it_follows_a_script_and_writes_a_log(tmp_path: Path) -> None:
    """The base URL is its first line; each request is a line of the log, refused ones too."""
    log, script = tmp_path / "log.jsonl", tmp_path / "script.json"
    script.write_text('[{"text": "scripted", "touch": {"0": "%s"}}]' % (tmp_path / "came"))
    command = [sys.executable, str(PATH), "--log", str(log), "--script", str(script), "--key", "right"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        body = json.dumps(user("x")).encode()
        answers = [ask(url, "POST", "/v1/chat/completions", body, key) for key in ("right", "wrong", "right")]
        process.terminate()
    said = [json.loads(text)["choices"][0]["message"]["content"] for status, _, text in answers if status == 200]
    assert said == ["scripted", "x"]
    assert (tmp_path / "came").exists()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["status"], line["error"]) for line in lines] == [
        (200, None),
        (401, "Incorrect API key provided."),
        (200, None),
    ]
    assert lines[0]["body"] == user("x")
    assert "right" not in log.read_text()


def test_a_script_with_an_unknown_field_is_refused() -> None:
    """A misspelt field would else be ignored in silence."""
    with pytest.raises(ValueError, match="a reply has no field txt"):
        Reply.from_json({"txt": "x"})
