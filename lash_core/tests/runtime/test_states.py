"""A session as a value: exported, brought elsewhere, made the session again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from families import environment, ledger, opened, said, texts
from hook_kinds import part
from lash_core.runtime.environment import Residency
from lash_core.runtime.state import PersistedSessionState, load_persisted_state
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import (
    ConfigurationError,
    CorruptSession,
    LashError,
    PluginError,
    PolicyError,
    SessionBindingMismatch,
    StoreRegressed,
    StoreUnavailable,
    UnreadableData,
)
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.state import HeadDocument, SessionConfig
from lash_hookspecs.records.turn import TurnInput
from lash_hookspecs.specs.offers import SessionSetup
from lash_store_sql.sqlite import open_sqlite
from probes import FailingBackend
from pydantic import JsonValue

from lash_core import LashRuntime, SessionSpec, tool

HI = TurnInput(text="hi")

both_residencies = pytest.mark.parametrize("residency", list(Residency))


@tool(kind="read_only")
async def look() -> str:
    return "seen"


class Notes(SessionPlugin):
    """Keeps a number."""

    live: Notes

    def __init__(self, setup: SessionSetup) -> None:
        self.count = 0
        Notes.live = self

    def snapshot(self) -> JsonValue:
        return self.count or None

    async def restore(self, schema_version: int, snapshot: Any) -> None:
        self.count = snapshot or 0


NOTES = part("notes", Notes)


@both_residencies
async def test_an_earlier_state_is_made_the_session_again(residency: Residency) -> None:
    store = MemoryBackend()
    env = environment(None, NOTES, store=store, tools=(look,), residency=residency)
    session = await opened(env, "s")
    await session.update_session_config(instructions="first")
    await session.turn(HI)
    Notes.live.count = 7
    session.set_tool_availability(["look"], "off")
    state = await session.export_state()
    await session.update_session_config(instructions="second")
    Notes.live.count = 8
    session.set_tool_availability(["look"], None)
    await session.turn(TurnInput(text="more"))
    await session.set_persisted_state(state)
    assert texts(session) == ["hi", "s answers"]
    assert (Notes.live.count, session.session.parts.tools.offered()) == (7, ())
    assert (session.document.turn_index, session.document.config.instructions) == (1, "first")
    assert (await session.policy()).config.instructions == "first"
    assert ledger(session) == {"turn": (2, 2)}, "what was used was used"
    again = await opened(env, "s")
    assert (again.path, again.document) == (session.path, session.document)
    assert (await session.turn(HI)).turn_index == 2
    assert texts(session) == ["hi", "s answers", "hi", "s answers"]


@both_residencies
async def test_a_state_from_elsewhere_brings_its_nodes(residency: Residency) -> None:
    far = await opened(environment(store=MemoryBackend()), "s")
    await far.turn(TurnInput(text="far away"))
    state = await far.export_state()
    env = environment(store=MemoryBackend(), residency=residency)
    session = await opened(env, "s")
    await session.turn(HI)
    await session.set_persisted_state(attrs.evolve(state, revision=None))
    assert texts(session) == ["far away", "s answers"]
    assert ledger(session) == {"turn": (1, 1)}
    assert texts(await opened(env, "s")) == texts(session)
    assert len(await session.orphaned_node_ids()) == 2


@both_residencies
async def test_a_state_that_goes_on_behind_a_stored_node_off_the_path_is_taken(residency: Residency) -> None:
    env = environment(store=MemoryBackend(), residency=residency)
    session = await opened(env, "s")
    await session.turn(HI)
    await session.turn(TurnInput(text="more"))
    path = session.path
    await session.branch_to(path[0].node_id)
    fresh = Node("f" * 32, path[2].node_id, 1, "message", said("fresh").to_bytes())
    await session.set_persisted_state(PersistedSessionState(document=session.document, nodes=(fresh,), leaf="f" * 32))
    assert texts(session) == ["hi", "s answers", "more", "fresh"]
    assert texts(await opened(env, "s")) == texts(session)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (
            {"session_id": "other"},
            SessionBindingMismatch,
            "this store handle is bound to session 's', the commit is for 'other'",
        ),
        (
            {"revision": 99},
            StoreRegressed,
            "session 's' is at revision 2 in memory:, the state at 99: the store is older than the state",
        ),
        (
            {"leaf": "nowhere"},
            CorruptSession,
            "leaf nowhere of the state is not among its nodes, nor among those of session 's'; nothing was changed",
        ),
        (
            {"leaf": "a", "nodes": (Node("a", "gone", 1, "message", said("x").to_bytes()),)},
            CorruptSession,
            "node a follows gone, which is not stored; `lash store check --repair` mends it",
        ),
        (
            {"document": HeadDocument(config=SessionConfig(mode="calls"))},
            ConfigurationError,
            "session 's' runs in mode 'standard'; a session keeps its mode, so start another session for mode 'calls'",
        ),
        (
            {"document": HeadDocument(config=SessionConfig(context_window=-1))},
            PolicyError,
            "context_window must be at least 1 token, not -1",
        ),
    ],
)
async def test_a_state_that_cannot_be_is_refused_and_nothing_is_written(
    change: dict[str, Any], error: type[LashError], told: str
) -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    await session.turn(HI)
    state = attrs.evolve(await session.export_state(), **change)
    path, document = session.path, session.document
    with pytest.raises(error) as caught:
        await session.set_persisted_state(state)
    assert str(caught.value) == told
    assert (session.path, session.document, len(store.commits)) == (path, document, 2)
    assert (await session.turn(HI)).outcome == "finished"


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (
            {"nodes": (Node("a", "gone", 1, "message", said("x").to_bytes()),)},
            CorruptSession,
            "node a follows gone, which is not stored; `lash store check --repair` mends it",
        ),
        (
            {"nodes": (Node("a", None, 1, "message", b"\xff"),), "leaf": "a"},
            UnreadableData,
            "node a cannot be read: payload: Invalid JSON: expected value at line 1 column 1",
        ),
        ({"components": {"tools": b"\xff"}}, UnreadableData, "component 'tools' cannot be read"),
        ({"components": {"mode": b"\xff"}}, UnreadableData, "component 'mode' cannot be read"),
        (
            {"components": {"plugin/lash-core/notes/notes": b'{"schema_version":2,"data":1}'}},
            PluginError,
            "session plugin 'notes'",
        ),
    ],
    ids=["hole off the path", "node", "tools", "mode", "plugin"],
)
async def test_a_state_that_could_not_be_opened_again_is_refused_by_every_door(
    change: dict[str, Any], error: type[LashError], told: str
) -> None:
    store = FailingBackend()
    env = environment(None, NOTES, store=store)
    session = await opened(env, "s")
    Notes.live.count = 1
    await session.turn(HI)
    state = attrs.evolve(await session.export_state(), **change)
    with pytest.raises(error) as caught:
        await session.set_persisted_state(state)
    assert told in str(caught.value)
    with pytest.raises(error):
        await LashRuntime.from_environment(env, SessionSpec(session_id="new", model="probe"), state.renamed("new"))
    assert (len(store.commits), list(store.living)) == (2, ["s"])
    assert (await session.turn(HI)).outcome == "finished"


@both_residencies
async def test_a_state_whose_commit_fails_changes_nothing(residency: Residency) -> None:
    store = FailingBackend()
    session = await opened(environment(store=store, residency=residency), "s", instructions="as opened")
    await session.turn(HI)
    state = await session.export_state()
    await session.turn(HI)
    path, count = session.path, session.resident_node_count
    store.failing = {5}
    document = state.document.evolve(config=state.config.evolve(instructions="other"))
    with pytest.raises(StoreUnavailable):
        await session.set_persisted_state(attrs.evolve(state, document=document))
    assert (session.path, session.resident_node_count) == (path, count)
    assert (await session.policy()).config.instructions == "as opened"
    assert (await session.turn(HI)).turn_index == 3


async def test_another_sessions_state_is_taken_once_it_is_renamed() -> None:
    env = environment(store=MemoryBackend())
    other = await opened(env, "other")
    await other.turn(HI)
    state = await other.export_state()
    session = await opened(env, "s")
    await session.set_persisted_state(state.renamed("s"))
    assert (texts(session), ledger(session)) == (["hi", "other answers"], {})
    assert session.head is not None
    assert session.head.revision == 1


async def test_an_exported_state_is_what_the_store_has_and_opens_a_session_elsewhere() -> None:
    store = MemoryBackend()
    session = await opened(environment(None, NOTES, store=store, tools=(look,)), "s", labels={"a": "b"})
    await session.turn(HI)
    state = await session.export_state()
    assert state == await load_persisted_state("s", store.session("s"), blobs=True)
    elsewhere = environment(None, NOTES, store=MemoryBackend(), tools=(look,))
    moved = await LashRuntime.from_environment(elsewhere, session.session.spec, attrs.evolve(state, revision=None))
    assert (texts(moved), ledger(moved)) == (texts(session), ledger(session))
    assert moved.head is not None
    assert (moved.head.revision, moved.head.labels) == (1, {"a": "b"})


async def test_an_export_has_what_is_not_committed_yet() -> None:
    session = await opened(environment(None, NOTES, store=MemoryBackend()), "s")
    await session.turn(HI)
    Notes.live.count = 5
    state = await session.export_state()
    [kept] = [body for name, body in state.components.items() if name.startswith("plugin/")]
    assert b"5" in kept


async def test_a_state_may_hold_nodes_of_a_fork_that_was_deleted_meanwhile(tmp_path: Path) -> None:
    store = await open_sqlite(f"sqlite:///{tmp_path}/a.db", True)
    env = environment(store=store)
    session = await opened(env, "s")
    await session.turn(HI)
    fork = await session.fork("fork")
    await fork.turn(HI)
    again = await opened(env, "s")
    state = await again.export_state()
    assert len(state.nodes) == 4, "the whole graph"
    await fork.delete()
    await again.set_persisted_state(state)
    assert (await again.turn(HI)).outcome == "finished"
    stored = await store.session("s").graph()
    assert {node.node_id for node in state.nodes} <= {node.node_id for node in stored}
    await store.close()
