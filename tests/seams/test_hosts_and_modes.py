"""Two modes on two hosts: whoever runs a turn, and however often it is killed, the session is the same (T1, T6, H5)."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import calls_mode
import dying_host
import pytest
from dying_host import DyingHost, Killed
from lash_basics import standard_mode
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.protocols.modes import ExecutionMode
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.effects import ModelCall, ToolRun
from lash_hookspecs.records.state import CommitDocument
from lash_hookspecs.records.turn import TurnResult
from script_files import call, plugins, script

from lash_core import Agent, Lash, RuntimeEnvironment, tool

both_modes = pytest.mark.parametrize("mode", ["standard", "calls"])


@attrs.define
class World:
    """What tools do to the world outside: counted, with the key that each call carried."""

    done: list[tuple[str, int, str]] = attrs.field(factory=list)

    def tools(self) -> list[Any]:
        @tool(kind="side_effecting")
        async def book(seat: int, context: ToolCallContext) -> str:
            self.done.append(("book", seat, context.idempotency_key))
            return f"seat {seat} is booked"

        @tool(kind="side_effecting", serial=True)
        async def pay(seat: int, context: ToolCallContext) -> str:
            self.done.append(("pay", seat, context.idempotency_key))
            return f"seat {seat} is paid"

        @tool(kind="read_only")
        async def look(seat: int, context: ToolCallContext) -> dict[str, int]:
            self.done.append(("look", seat, context.idempotency_key))
            return {"seat": seat}

        @tool(kind="idempotent")
        async def fail(seat: int) -> str:
            raise LookupError(f"no seat {seat}")

        return [book, pay, look, fail]


def replies(mode: str) -> list[dict[str, Any]]:
    """The same work, as each mode's model writes it."""
    first = [call("book", seat=1), call("pay", seat=1), call("look", seat=1), call("book", seat=2), call("pay", seat=2)]
    second = [call("fail", seat=3), call("nothing", seat=4), call("look"), call("book", seat=5)]
    said: list[dict[str, Any]]
    if mode == "standard":
        said = [{"text": "I book.", "tool_calls": first}, {"tool_calls": second}]
    else:
        program = [*first[:3], {"note": "half"}, {"boundary": True}, *first[3:]]
        said = [{"text": json.dumps(program)}, {"text": json.dumps(second)}]
    usages: list[dict[str, Any]] = [
        {"input_tokens": 10, "output_tokens": 3, "cost": "0.1"},
        {"input_tokens": 20},
        {"output_tokens": 7},
    ]
    return [reply | {"usage": usage} for reply, usage in zip([*said, {"text": "All is done."}], usages, strict=True)]


def environment(model_folder: Path, world: World, backend: MemoryBackend, host: Host | None = None) -> Any:
    agent = Agent(model=script(model_folder, *replies_of(model_folder)), tools=world.tools(), mode=model_folder.name)
    env = RuntimeEnvironment(plugins=plugins(), store=backend, tool_sets=(), tools=agent.tools)
    return Lash(env if host is None else env.evolve(host=host), agent)


def replies_of(folder: Path) -> list[dict[str, Any]]:
    return replies(folder.name)


@attrs.define
class Outcome:
    """One session after one turn, without what differs from run to run: ids, times, durations."""

    result: TurnResult
    path: list[tuple[str, str]]
    usage: Any
    events: list[str]
    done: list[tuple[str, int]]
    lives: int = 0
    unknown_calls: int = 0


async def outcome_of(lash: Lash, result: TurnResult, world: World) -> Outcome:
    session = await lash.session("s")
    records = await lash.store.session("s").records()
    [row] = session.usage()
    return Outcome(
        result=result.evolve(head_revision=0),
        path=[(item.node.kind, neutral(item.node.payload.decode())) for item in await session.items()],
        usage=row.evolve(unknown_calls=0),
        events=[
            neutral(event.to_bytes().decode())
            for record in records
            for event in CommitDocument.from_bytes(record.record).events
        ],
        done=sorted((name, seat) for name, seat, _ in world.done),
        unknown_calls=row.unknown_calls,
    )


def neutral(text: str) -> str:
    """Leave out turn ids (also inside keys and call ids) and durations."""
    return re.sub(r'"duration_ms":\d+', '"duration_ms":0', re.sub(r"[0-9a-f]{24}(?=[-\"])", "TURN", text))


async def run_uninterrupted(folder: Path) -> Outcome:
    world = World()
    lash = environment(folder, world, MemoryBackend())
    result = await (await lash.session("s")).turn("Book two seats.")
    return await outcome_of(lash, result, world)


async def run_killed_after_every_effect(folder: Path, host: DyingHost) -> Outcome:
    """Each life is a new runtime on the same store; only the first gets the user's words."""
    world, backend = World(), MemoryBackend()
    result: TurnResult | None = None
    while result is None:
        lash = environment(folder, world, backend, host)
        session = await lash.session("s")
        turn = session.continue_turn() if host.lives else session.stream("Book two seats.")
        try:
            result = await turn.result()
        except Killed:
            assert await (await environment(folder, world, backend).session("s")).items(), "committed before it ran"
    outcome = await outcome_of(lash, result, world)
    outcome.lives = host.lives
    return outcome


@pytest.fixture
def folder(tmp_path: Path, mode: str) -> Path:
    made = tmp_path / mode
    made.mkdir()
    return made


def newest_first(effects: list[ModelCall | ToolRun]) -> ModelCall | ToolRun:
    return effects[-1]


@both_modes
@pytest.mark.parametrize("choose", [None, newest_first], ids=["oldest effect first", "newest effect first"])
async def test_a_host_that_dies_after_every_effect_leaves_the_same_session(folder: Path, choose: Any) -> None:
    whole = await run_uninterrupted(folder)
    killed = await run_killed_after_every_effect(folder, DyingHost(choose) if choose else DyingHost())
    assert killed.path == whole.path
    assert killed.result == whole.result
    assert killed.usage == whole.usage
    assert sorted(killed.events) == sorted(whole.events)
    assert killed.events[-1] == whole.events[-1]
    assert killed.lives == 3 + 9, "each of three model calls and nine tool calls was a life of its own"


@both_modes
async def test_what_has_side_effects_is_done_once_however_often_the_host_dies(folder: Path) -> None:
    killed = await run_killed_after_every_effect(folder, DyingHost())
    assert killed.done == [("book", 1), ("book", 2), ("book", 5), ("look", 1), ("pay", 1), ("pay", 2)]


@both_modes
async def test_unknown_usage_is_listed_at_most_once_per_death(folder: Path) -> None:
    killed = await run_killed_after_every_effect(folder, DyingHost())
    assert killed.unknown_calls <= killed.lives - 1
    assert (await run_uninterrupted(folder)).unknown_calls == 0


@both_modes
async def test_each_call_has_an_answer_and_failures_are_told_to_the_model(folder: Path) -> None:
    whole = await run_uninterrupted(folder)
    results = [json.loads(text)["result"] for kind, text in whole.path if kind == "tool"]
    assert [(result["tool"], result["status"]) for result in results] == [
        ("book", "ok"),
        ("pay", "ok"),
        ("look", "ok"),
        ("book", "ok"),
        ("pay", "ok"),
        ("fail", "error"),
        ("nothing", "error"),
        ("look", "error"),
        ("book", "ok"),
    ]
    codes = [result.get("error_code") for result in results if result["status"] == "error"]
    assert codes == ["tool_failed", "unknown_tool", "invalid_arguments"]


@both_modes
async def test_a_turn_continues_on_another_host_than_it_began_on(folder: Path) -> None:
    whole = await run_uninterrupted(folder)
    world, backend, dying = World(), MemoryBackend(), DyingHost()
    first = environment(folder, world, backend, dying)
    with pytest.raises(Killed):
        await (await first.session("s")).turn("Book two seats.")
    second = environment(folder, world, backend)
    result = await (await second.session("s")).continue_turn().result()
    assert (await outcome_of(second, result, world)).path == whole.path


def test_the_modes_and_hosts_fit_their_protocols() -> None:
    for mode in (standard_mode.StandardMode(), calls_mode.CallsMode()):
        assert isinstance(mode, ExecutionMode)
    assert isinstance(DyingHost(), Host)


@pytest.mark.parametrize("module", [standard_mode, calls_mode, dying_host], ids=lambda module: module.__name__)
def test_a_mode_or_host_module_names_nothing_of_the_core(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in named if name.partition(".")[0] == "lash_core"]


@pytest.mark.parametrize("module", [standard_mode, calls_mode, dying_host], ids=lambda module: module.__name__)
def test_importing_a_mode_or_host_brings_in_nothing_of_the_core(module: Any) -> None:
    name = module.__name__.rpartition(".")[2]
    parent = str(Path(module.__file__).parent)
    code = f"import sys; sys.path.insert(0, {parent!r}); import {name}; print([m for m in sys.modules if 'core' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "lash_core" not in done.stdout
