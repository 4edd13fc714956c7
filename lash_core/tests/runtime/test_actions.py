"""Actions: typed requests that a host makes of the plugins of an open session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hook_kinds import plugin
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import InvalidInput, PluginConflict, PluginError, SessionBusy, SessionError, UnknownName
from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.services import SessionServices
from lash_hookspecs.records.payloads import Message, TextPart
from lash_hookspecs.records.sessions import SessionCreateRequest
from lash_hookspecs.specs.actions import ActionContext, PluginAction, lash_offer_actions
from probes import ProbeModel, says
from pydantic import BaseModel
from script_files import plugins

from lash_core import LashRuntime, RuntimeEnvironment, SessionSpec

HI = Message(role="user", parts=(TextPart(text="hi"),))


class Greet(BaseModel):
    name: str
    times: int = 1


class Greeting(BaseModel):
    text: str
    session_id: str


Run = Callable[[SessionServices, Any], Awaitable[Any]]


async def greet(session: SessionServices, request: Greet) -> Greeting:
    return Greeting(text=f"Hello, {request.name}! " * request.times, session_id=session.session_id)


def greeter(does: Run = greet, *, label: str = "greeter", result: Any = Greeting, **fields: Any) -> Any:
    @implements(lash_offer_actions)
    def actions(context: ActionContext) -> list[PluginAction]:
        async def bound(request: Any) -> Any:
            return await does(context.session, request)

        return [PluginAction(**{"name": "greet", "arguments": Greet, "run": bound, "result": result} | fields)]

    return plugin(label, actions)


async def opened(*parts: object, backend: MemoryBackend | None = None) -> LashRuntime:
    env = RuntimeEnvironment(plugins=plugins(ProbeModel(says("hi")), *parts), store=backend, tool_sets=())
    return await LashRuntime.from_environment(env, SessionSpec(session_id="s", model="probe"))


async def test_an_action_is_listed_with_its_schemas() -> None:
    runtime = await opened(greeter(description="Says hello."))
    [action] = runtime.actions()
    assert (action.name, action.description) == ("greet", "Says hello.")
    assert "greeter" in action.plugin
    assert action.arguments["required"] == ["name"]
    assert action.result is not None
    assert action.result["title"] == "Greeting"


async def test_an_action_is_invoked_with_checked_arguments_and_gives_json() -> None:
    runtime = await opened(greeter())
    answer = await runtime.invoke("greet", {"name": "Ann", "times": "2"})
    assert answer == {"text": "Hello, Ann! Hello, Ann! ", "session_id": "s"}


async def test_an_action_without_a_promise_gives_any_json() -> None:
    async def run(session: SessionServices, request: Greet) -> Any:
        return [request.name, None]

    assert await (await opened(greeter(run, result=None))).invoke("greet", {"name": "Ann"}) == ["Ann", None]


async def test_actions_work_on_forks_and_children() -> None:
    runtime = await opened(greeter(), backend=MemoryBackend())
    child = await runtime.create_session(SessionCreateRequest(session_id="child"))
    await runtime.append_nodes([HI])
    fork = await runtime.fork("fork")
    for each, session_id in ((child.runtime, "child"), (fork, "fork")):
        answer = await each.invoke("greet", {"name": "Ann"})
        assert answer == {"text": "Hello, Ann! ", "session_id": session_id}


async def test_an_action_can_start_a_session_from_where_its_own_stands() -> None:
    async def run(session: SessionServices, request: Greet) -> str:
        child = await session.create_session(SessionCreateRequest(session_id=request.name, start="current"))
        return child.session_id

    runtime = await opened(greeter(run, result=str), backend=MemoryBackend())
    await runtime.append_nodes([HI])
    assert await runtime.invoke("greet", {"name": "copy"}) == "copy"
    assert [each.payload for each in runtime.children["copy"].runtime.items] == [HI]


async def test_an_unknown_action_is_told_with_what_is_near() -> None:
    runtime = await opened(greeter())
    with pytest.raises(UnknownName) as caught:
        await runtime.invoke("great", {})
    assert str(caught.value) == "no plugin of session 's' offers an action 'great'; did you mean 'greet'?"
    with pytest.raises(UnknownName) as caught:
        await (await opened()).invoke("x", {})
    assert str(caught.value) == "no plugin of session 's' offers an action 'x'; there are: none"


async def test_wrong_arguments_are_refused_before_anything_runs() -> None:
    ran: list[object] = []

    async def run(session: SessionServices, request: Greet) -> None:
        ran.append(request)

    with pytest.raises(InvalidInput) as caught:
        await (await opened(greeter(run))).invoke("greet", {"times": "x"})
    assert str(caught.value) == (
        "the arguments of action 'greet' do not fit: name: Field required; times: Input should be a valid integer, "
        "unable to parse string as an integer"
    )
    assert ran == []


@pytest.mark.parametrize(
    ("value", "result", "told"),
    [
        ({"text": 1}, Greeting, "text: Input should be a valid string; session_id: Field required"),
        (object(), None, "input was not a valid JSON value"),
    ],
)
async def test_a_result_that_was_not_promised_names_plugin_and_action(value: object, result: Any, told: str) -> None:
    async def run(session: SessionServices, request: Greet) -> object:
        return value

    with pytest.raises(PluginError) as caught:
        await (await opened(greeter(run, result=result))).invoke("greet", {"name": "Ann"})
    assert "greeter" in str(caught.value)
    assert str(caught.value).endswith(f": action 'greet' gave a result that it had not promised: {told}")


async def test_an_action_that_fails_names_its_plugin() -> None:
    async def run(session: SessionServices, request: Greet) -> None:
        raise ValueError("I am broken")

    with pytest.raises(PluginError) as caught:
        await (await opened(greeter(run))).invoke("greet", {"name": "Ann"})
    assert "greeter" in str(caught.value)
    assert str(caught.value).endswith(": action 'greet' failed: ValueError: I am broken")


async def test_what_an_action_meets_in_the_session_comes_as_it_is() -> None:
    async def run(session: SessionServices, request: Greet) -> None:
        raise SessionBusy("busy")

    with pytest.raises(SessionBusy):
        await (await opened(greeter(run))).invoke("greet", {"name": "Ann"})


async def test_two_actions_of_one_name_are_a_conflict_when_the_session_opens() -> None:
    with pytest.raises(PluginConflict) as caught:
        await opened(greeter(label="one"), greeter(label="two"))
    assert str(caught.value).startswith("action 'greet' is offered by ")
    assert all(name in str(caught.value) for name in ("one", "two", "rename one of them"))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": " "}, "its name is empty"),
        ({"arguments": dict}, "arguments must be a pydantic model, not <class 'dict'>"),
        ({"run": lambda request: None}, "run must be an async function"),
    ],
)
async def test_what_is_no_action_is_refused_when_the_session_opens(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(PluginError) as caught:
        await opened(greeter(**fields))
    assert str(caught.value).endswith(told)
    assert "greeter" in str(caught.value)


async def test_a_closed_session_runs_no_action() -> None:
    runtime = await opened(greeter())
    await runtime.close()
    with pytest.raises(SessionError) as caught:
        await runtime.invoke("greet", {"name": "Ann"})
    assert str(caught.value) == "session 's' was closed; open it again"
