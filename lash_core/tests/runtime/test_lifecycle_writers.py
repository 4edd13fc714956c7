"""Writers beside each other, leaves that are gone, branches, readers that fail: nothing is lost (L11, S3, G3)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import attrs
import pytest
from hook_kinds import function, part
from lash_core.runtime.runtime import Appended, LashRuntime, StaleBranch
from lash_core.runtime.state import load_persisted_state
from lash_core.tracing.sinks import MemorySink
from lash_hookspecs.errors import (
    CommitDenied,
    CorruptSession,
    HeadRevisionConflict,
    NodeMissing,
    PluginError,
    SessionBindingMismatch,
    SessionBusy,
    SessionExists,
    StoreRegressed,
    StoreUnavailable,
)
from lash_hookspecs.markers import handles
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.records.events import Event
from lash_hookspecs.records.payloads import Message, ToolInvocation
from lash_hookspecs.records.store import Head
from lash_hookspecs.records.turn import TurnInput, TurnLimits
from lash_hookspecs.specs.config import ConfigProposed, lash_transform_config
from lash_hookspecs.specs.decisions import ALLOW, Decision, Deny
from lash_hookspecs.specs.events import SessionConfigChanged, lash_on_config_changed
from lash_hookspecs.specs.history import HistoryEntry, HistoryRewrite, lash_rewrite_history
from lash_hookspecs.specs.persistence import CommitProposed, lash_guard_commit
from lash_hookspecs.specs.turns import TurnAdditions, TurnBegins, lash_before_turn
from lash_hookspecs.toolkit import FunctionTools
from lifetimes import DurableBackend, environment, note, opened, said, say, steps, stored_texts, texts
from probes import calls, says
from pydantic import JsonValue

from lash_core import Residency, SessionSpec, tool

BOTH = pytest.mark.parametrize("residency", list(Residency), ids=lambda each: each.value)


@tool(kind="read_only")
async def look() -> str:
    return "seen"


class Counter(SessionPlugin):
    """Counts turns."""

    def __init__(self, setup: Any) -> None:
        self.count = 0

    def snapshot(self) -> JsonValue:
        return self.count

    async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
        self.count = snapshot if isinstance(snapshot, int) else 0

    @handles(lash_before_turn)
    async def on_turn(self, context: TurnBegins) -> TurnAdditions:
        self.count += 1
        return context.additions.adding(said(f"count {self.count}"))


def overrides(runtime: LashRuntime) -> dict[str, str]:
    """What the session says of its tools' levels."""
    tools = runtime.session.parts.registry.export_state().tools
    return {name: entry.override for name, entry in tools.items() if entry.override is not None}


async def branched(backend: DurableBackend) -> LashRuntime:
    """Two turns, back to the end of the first, one more."""
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    await say(runtime, "b")
    await runtime.branch_to(runtime.path[1].node_id)
    await say(runtime, "c")
    return runtime


# A leaf that is gone


@BOTH
async def test_a_session_with_a_dangling_leaf_loses_nothing_by_being_opened_used_and_parked(
    residency: Residency,
) -> None:
    backend = DurableBackend()
    await branched(backend)
    stored = backend.living["s"]
    stored.head = attrs.evolve(stored.head, leaf="gone")
    runtime = await opened(environment(backend, residency=residency))
    assert texts(runtime) == ["a", "ok", "c", "ok"], "the last known path, not the newest message of another branch"
    assert runtime.resident_node_count == (6 if residency is Residency.KEEP_ALL else 4)
    assert stored.head.leaf == "gone", "looking does not write"
    await say(runtime, "d")
    assert runtime.resident_node_count == (8 if residency is Residency.KEEP_ALL else 6)
    assert await stored_texts(backend) == ["a", "ok", "c", "ok", "d", "ok"]
    assert len(await backend.session("s").graph()) == 8, "no node was taken out"
    await runtime.park()
    assert len(await backend.session("s").graph()) == 8


@BOTH
async def test_a_dangling_leaf_that_is_parked_at_once_is_mended_by_that_commit(residency: Residency) -> None:
    backend = DurableBackend()
    await branched(backend)
    stored = backend.living["s"]
    stored.head = attrs.evolve(stored.head, leaf="gone")
    handle = await (await opened(environment(backend, residency=residency))).park()
    assert steps(backend)[-1] == "park"
    resumed = await LashRuntime.resume(handle, environment(backend, residency=residency))
    assert texts(resumed) == await stored_texts(backend) == ["a", "ok", "c", "ok"]
    told = [each.event async for each in resumed.events() if each.event.type == "leaf_healed"]
    assert [event.dangling for event in told] == ["gone"]


@BOTH
async def test_an_unset_leaf_is_an_empty_path_and_is_not_healed(residency: Residency) -> None:
    backend = DurableBackend()
    await branched(backend)
    stored = backend.living["s"]
    stored.head = attrs.evolve(stored.head, leaf=None)
    runtime = await opened(environment(backend, residency=residency))
    assert (texts(runtime), runtime.report.healed) == ([], None)
    await say(runtime, "d")
    assert await stored_texts(backend) == ["d", "ok"]
    assert len(await backend.session("s").graph()) == 8


# Other writers


async def test_of_many_writers_at_once_each_writes_whole_or_is_refused() -> None:
    backend = DurableBackend()
    await say(await opened(environment(backend)), "first")
    writers = [await opened(environment(backend)) for _ in range(5)]
    done = await asyncio.gather(
        *(writer.append_nodes([said(f"w{at}.1"), said(f"w{at}.2")]) for at, writer in enumerate(writers)),
        return_exceptions=True,
    )
    landed = [f"w{at}.{part}" for at, each in enumerate(done) if isinstance(each, Appended) for part in (1, 2)]
    assert landed
    assert {type(each) for each in done} <= {Appended, SessionBusy}
    found = (await stored_texts(backend))[2:]
    assert sorted(found) == sorted(landed)
    assert [(one[:-2], one[-2:], two[-2:]) for one, two in zip(found[::2], found[1::2], strict=True)] == [
        (one[:-2], ".1", ".2") for one in found[::2]
    ], "what one wrote stands together"
    for writer in writers:
        await writer.refresh()
        assert texts(writer)[2:] == found


async def test_a_commit_between_reading_and_writing_is_a_conflict_and_overwrites_nothing() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    other = await opened(environment(backend))

    async def meanwhile() -> None:
        backend.meanwhile = None
        head = backend.living["s"].head
        backend.living["s"].head = attrs.evolve(head, revision=head.revision + 1)

    async def bump(context: CommitProposed) -> Decision:
        await meanwhile()
        return ALLOW

    late = await opened(environment(backend, more=[function(lash_guard_commit, bump)]))
    with pytest.raises(HeadRevisionConflict) as caught:
        await late.append_nodes([said("late")])
    assert (caught.value.expected, caught.value.actual) == (2, 3)
    assert await stored_texts(backend) == ["a", "ok"]
    await other.append_nodes([said("b")])
    assert await stored_texts(backend) == ["a", "ok", "b"]


async def test_a_state_that_was_never_stored_does_not_replace_a_session_that_is() -> None:
    backend = DurableBackend()
    elsewhere = await opened(environment(None))
    await say(elsewhere, "mine")
    state = attrs.evolve(await elsewhere.export_state(), revision=None)
    await say(await opened(environment(backend)), "yours")
    with pytest.raises(SessionExists) as caught:
        await LashRuntime.from_environment(environment(backend), SessionSpec(session_id="s"), state)
    assert str(caught.value).startswith("session 's' is in durable:")
    assert "the state that was given was never stored" in str(caught.value)
    assert await stored_texts(backend) == ["yours", "ok"]


async def test_a_state_of_another_session_or_of_a_newer_store_is_refused() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    state = await runtime.export_state()
    with pytest.raises(SessionBindingMismatch):
        await LashRuntime.from_environment(environment(backend), SessionSpec(session_id="t"), state)
    with pytest.raises(StoreRegressed):
        await LashRuntime.from_environment(
            environment(backend), SessionSpec(session_id="s"), attrs.evolve(state, revision=99)
        )


async def test_what_another_writer_changed_of_tools_and_plugins_is_followed() -> None:
    backend = DurableBackend()
    tools, counter = FunctionTools([look]), part("counter", Counter)
    reader = await opened(environment(backend, tools=tools, more=[counter]))
    await say(reader, "a")
    writer = await opened(environment(backend, tools=tools, more=[counter]))
    writer.set_tool_availability(["look"], "off")
    await say(writer, "b")
    await say(reader, "c")
    assert [text for text in texts(reader) if text.startswith("count")] == ["count 1", "count 2", "count 3"]
    assert overrides(reader) == {"look": "off"}


async def test_a_path_that_moved_on_answers_stale_and_takes_nothing() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    root, leaf = (node.node_id for node in runtime.path)
    await (await opened(environment(backend))).branch_to(root)
    assert await runtime.append_nodes([note()], requires_ancestor=leaf) == StaleBranch(current_leaf=root)
    assert isinstance(await runtime.append_nodes([note()], requires_ancestor=root), Appended)
    assert len(await backend.session("s").graph()) == 3


async def test_a_failed_append_leaves_memory_as_the_store_is() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    backend.failing.add(len(backend.commits) + 1)
    with pytest.raises(StoreUnavailable):
        await runtime.append_nodes([said("lost")])
    assert texts(runtime) == await stored_texts(backend) == ["a", "ok"]
    await runtime.append_nodes([said("b")])
    assert texts(runtime) == await stored_texts(backend) == ["a", "ok", "b"]


async def test_a_commit_that_a_plugin_denies_is_not_written_and_is_named() -> None:
    async def no_notes(context: CommitProposed) -> Decision:
        return Deny("no notes today") if context.step == "append" else ALLOW

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[function(lash_guard_commit, no_notes)]))
    await say(runtime, "a")
    with pytest.raises(CommitDenied) as caught:
        await runtime.append_nodes([note()])
    assert str(caught.value).endswith("refused the commit 'append' of session 's': no notes today")
    assert (texts(runtime), steps(backend)) == (["a", "ok"], ["input", "final"])


# Branches


@BOTH
async def test_a_branch_is_durable_at_once_and_no_later_turn_undoes_it(residency: Residency) -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, residency=residency))
    await say(runtime, "a")
    await say(runtime, "b")
    await runtime.branch_to(runtime.path[1].node_id)
    assert await stored_texts(backend) == ["a", "ok"]
    await say(runtime, "c")
    assert texts(runtime) == await stored_texts(backend) == ["a", "ok", "c", "ok"]
    with pytest.raises(NodeMissing):
        await runtime.branch_to("nowhere")
    assert texts(runtime) == ["a", "ok", "c", "ok"]


async def test_a_branch_takes_tools_and_plugins_back_to_what_they_were() -> None:
    backend = DurableBackend()
    tools, counter = FunctionTools([look]), part("counter", Counter)
    runtime = await opened(environment(backend, tools=tools, more=[counter]))
    await say(runtime, "a")
    early = runtime.path[-1].node_id
    runtime.set_tool_availability(["look"], "off")
    await say(runtime, "b")
    assert overrides(runtime) == {"look": "off"}
    await runtime.branch_to(early)
    assert overrides(runtime) == {}
    await say(runtime, "c")
    assert [text for text in texts(runtime) if text.startswith("count")] == ["count 1", "count 2"]
    again = await opened(environment(backend, tools=tools, more=[counter]))
    assert overrides(again) == {}


async def test_a_branch_keeps_usage_and_what_was_spent_before() -> None:
    runtime = await opened(environment(DurableBackend(), says("one", input_tokens=3), says("two", input_tokens=4)))
    await say(runtime, "a")
    await say(runtime, "b")
    await runtime.branch_to(runtime.path[1].node_id)
    [row] = runtime.view().usage
    assert row.usage.input_tokens == 7


# States


async def test_a_replaced_state_is_durable_at_once_and_brings_what_plugins_kept() -> None:
    backend = DurableBackend()
    counter = part("counter", Counter)
    runtime = await opened(environment(backend, more=[counter]))
    await say(runtime, "a")
    early = await runtime.export_state()
    await say(runtime, "b")
    await runtime.set_persisted_state(early)
    assert await stored_texts(backend) == ["a", "count 1", "ok"]
    await say(runtime, "c")
    assert (await stored_texts(backend))[-3:] == ["c", "count 2", "ok"]


async def test_a_state_with_a_leaf_that_it_does_not_hold_is_refused_and_nothing_changes() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    state = attrs.evolve(await runtime.export_state(), leaf="gone")
    with pytest.raises(CorruptSession) as caught:
        await runtime.set_persisted_state(state)
    assert (caught.value.kind, caught.value.node_ids) == ("dangling_leaf", ("gone",))
    with pytest.raises(CorruptSession):
        await LashRuntime.from_environment(environment(backend), SessionSpec(session_id="t"), state.renamed("t"))
    assert list(backend.living) == ["s"]
    assert texts(runtime) == await stored_texts(backend) == ["a", "ok"]


async def test_an_exported_state_opens_as_another_session_of_another_store() -> None:
    source, target = DurableBackend(), DurableBackend()
    tools, counter = FunctionTools([look]), part("counter", Counter)
    runtime = await opened(environment(source, calls(("look", {}), input_tokens=3), tools=tools, more=[counter]))
    await say(runtime, "a")
    runtime.set_tool_availability(["look"], "off")
    state = (await runtime.export_state()).renamed("copy")
    copy = await LashRuntime.from_environment(
        environment(target, tools=tools, more=[counter]), SessionSpec(session_id="copy", model="probe"), state
    )
    assert texts(copy) == texts(runtime) == await stored_texts(target, "copy")
    assert overrides(copy) == {"look": "off"}
    assert copy.view().usage == (), "what was spent elsewhere is not this session's"
    assert (await load_persisted_state("copy", target.session("copy"))).revision == 1
    assert (await say(copy, "b")).turn_index == 2
    assert "count 2" in texts(copy)


# Configuration


async def test_a_changed_configuration_is_durable_at_once_and_told_only_when_it_differs() -> None:
    told: list[SessionConfigChanged] = []

    async def hear(context: SessionConfigChanged) -> None:
        told.append(context)

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[function(lash_on_config_changed, hear)]))
    await say(runtime, "a")
    await runtime.update_session_config(context_window=50_000)
    stored = await load_persisted_state("s", backend.session("s"))
    assert stored.config.context_window == 50_000
    await runtime.update_session_config(context_window=50_000)
    assert [(each.previous.context_window, each.current.context_window) for each in told] == [(None, 50_000)]
    assert (await opened(environment(backend))).document.config.context_window == 50_000


async def test_a_plugin_that_cannot_change_a_configuration_leaves_it_as_it_was() -> None:
    async def fail(context: ConfigProposed) -> Any:
        raise ValueError("not today")

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[function(lash_transform_config, fail)]))
    await say(runtime, "a")
    with pytest.raises(PluginError, match="not today"):
        await runtime.update_session_config(instructions="Be brief.")
    assert runtime.document.config.instructions == ""
    assert steps(backend) == ["input", "final"]


async def test_a_rewriter_that_fails_leaves_the_path_and_the_context_window() -> None:
    async def fail(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        raise ValueError("no summary")

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[function(lash_rewrite_history, fail)]))
    await say(runtime, "a")
    with pytest.raises(PluginError, match="no summary"):
        await runtime.rewrite_history()
    with pytest.raises(PluginError, match=r"the context window stays at 100,000 tokens: .*no summary"):
        await runtime.update_session_config(context_window=1_000)
    assert texts(runtime) == await stored_texts(backend) == ["a", "ok"]
    assert runtime.document.config.context_window is None


async def test_a_message_that_was_edited_in_a_rewrite_is_stored_as_edited_under_its_id() -> None:
    async def shout(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        first, *rest = context.entries
        assert isinstance(first.payload, Message)
        return (attrs.evolve(first, payload=said(first.payload.text.upper())), *rest)

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[function(lash_rewrite_history, shout)]))
    await say(runtime, "a")
    first = runtime.path[0].node_id
    assert await runtime.rewrite_history()
    assert texts(runtime) == await stored_texts(backend) == ["A", "ok"]
    assert next(item.payload.id for item in runtime.items if isinstance(item.payload, Message)) == first


async def test_a_rewrite_without_messages_keeps_the_tool_results_that_it_was_given() -> None:
    async def results(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        return tuple(entry for entry in context.entries if isinstance(entry.payload, ToolInvocation))

    backend = DurableBackend()
    env = environment(
        backend, calls(("look", {})), tools=FunctionTools([look]), more=[function(lash_rewrite_history, results)]
    )
    runtime = await opened(env)
    await say(runtime, "a")
    assert await runtime.rewrite_history()
    assert [item.node.kind for item in runtime.items] == ["tool"]


# Readers that fail


async def test_a_reader_that_raises_harms_no_turn(caplog: pytest.LogCaptureFixture) -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, calls(("look", {})), tools=FunctionTools([look])))

    def broken(event: Event) -> None:
        raise RuntimeError(f"cannot take {event.type}")

    with caplog.at_level(logging.WARNING):
        result = await runtime.turn(TurnInput(text="a"), TurnLimits(), broken)
    assert (result.outcome, result.text) == ("finished", "ok")
    assert steps(backend) == ["input", "boundary", "final"]
    assert [record.message for record in caplog.records if "reader" in record.message] != []
    assert (await say(runtime, "b")).outcome == "finished"


async def test_a_trace_sink_that_raises_harms_no_turn_and_no_parking() -> None:
    class Broken(MemorySink):
        def write(self, record: Any) -> None:
            raise OSError("the disk is full")

    backend = DurableBackend()
    runtime = await opened(environment(backend, trace=Broken()))
    assert (await say(runtime, "a")).outcome == "finished"
    assert (await runtime.park()).revision == 3


async def test_a_session_in_memory_keeps_its_past_and_its_ledger_too() -> None:
    runtime = await opened(environment(None, says("one", input_tokens=3), says("two", input_tokens=4)))
    await say(runtime, "a")
    await say(runtime, "b")
    assert texts(runtime) == ["a", "one", "b", "two"]
    [row] = runtime.view().usage
    assert row.usage.input_tokens == 7
    assert isinstance(runtime.head, Head)
