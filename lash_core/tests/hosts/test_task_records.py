"""Tasks whose work is elsewhere: registered, updated, completed, listed (invariants 57, 60)."""

from __future__ import annotations

import pytest
from lash_hookspecs.errors import InvalidInput, TaskExists, TaskMissing
from lash_hookspecs.records.tasks import MAX_TEXT, TERMINAL_STATES, TaskFilter, TaskRecord
from task_scene import EVERYTHING, Scene, named, states


async def test_a_task_is_registered_updated_and_completed(scene: Scene) -> None:
    tasks = await scene.tasks()
    registered = await tasks.register(named("t", kind="monitor", producer="me", parent_task_id="p"))
    assert (registered.state, registered.attempt, registered.kind, registered.producer) == (
        "pending",
        0,
        "monitor",
        "me",
    )
    assert registered.idempotency_key
    scene.time.forward(1)
    running = await tasks.update("t", state="running", progress="half", reason="it was its turn")
    assert (running.state, running.progress, running.reason) == ("running", "half", "it was its turn")
    assert running.updated_at == registered.created_at + 1_000_000
    waiting = await tasks.update("t", state="waiting")
    assert (waiting.state, waiting.progress) == ("waiting", "half")
    done = await tasks.complete("t", result="42")
    assert (done.state, done.result, done.completed_at) == ("completed", "42", scene.time.now)
    assert await tasks.get("t") == done


async def test_lists_are_filtered_by_kind_and_by_whether_they_have_ended(scene: Scene) -> None:
    tasks = await scene.tasks()
    for task_id, kind in (("a", "monitor"), ("b", "other"), ("c", "monitor")):
        await tasks.register(named(task_id, kind=kind))
    await tasks.complete("a", "failed", failure="no")
    assert states(await tasks.list()) == {"b": "pending", "c": "pending"}
    assert states(await tasks.list(TaskFilter(kind="monitor"))) == {"c": "pending"}
    assert states(await tasks.list(EVERYTHING)) == {"a": "failed", "b": "pending", "c": "pending"}
    assert await tasks.list(TaskFilter(session_id="other")) == []


async def test_a_host_lists_all_sessions_that_it_has_open(scene: Scene) -> None:
    host = scene.host()
    for session_id in ("s", "t"):
        await scene.commit(session_id)
        await scene.open(host, session_id).register(named(f"of-{session_id}"))
    scene.open(host, "s")
    assert states(await host.list()) == {"of-s": "pending", "of-t": "pending"}
    assert states(await host.list(TaskFilter(session_id="t"))) == {"of-t": "pending"}
    assert states(await host.attached("t").list()) == {"of-t": "pending"}


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
async def test_nothing_changes_a_task_that_has_ended(scene: Scene, state: str) -> None:
    tasks = await scene.tasks()
    await tasks.register(named("t"))
    ended = await tasks.complete("t", state, result="r", failure="f", reason="w")  # type: ignore[arg-type]
    before = await scene.rows()
    scene.time.forward(1)
    assert await tasks.request_cancel("t", "too late") == ended
    assert await tasks.update("t", state="running", progress="more") == ended
    assert await tasks.complete("t", "failed", failure="other") == ended
    assert await tasks.cancel_all() == []
    assert await tasks.get("t") == ended
    assert await scene.rows() == before, "nothing was written"


async def test_a_request_to_cancel_stays_one_until_the_task_ends(scene: Scene) -> None:
    tasks = await scene.tasks()
    await tasks.register(named("t"))
    asked = await tasks.request_cancel("t", "enough")
    assert (asked.state, asked.reason) == ("cancel_requested", "enough")
    before = await scene.rows()
    assert await tasks.request_cancel("t", "again") == asked
    assert await scene.rows() == before
    assert (await tasks.update("t", state="running", progress="still")).state == "cancel_requested"
    assert (await tasks.complete("t", "cancelled", reason="enough")).state == "cancelled"


async def test_a_live_id_is_taken_and_free_again_when_its_task_has_ended(scene: Scene) -> None:
    tasks = await scene.tasks()
    first = await tasks.register(named("t"))
    with pytest.raises(TaskExists) as exists:
        await tasks.register(named("t"))
    assert str(exists.value) == "session 's' has a task 't' already, and it is pending"
    assert (exists.value.code, exists.value.task_id, exists.value.session_id) == ("task_exists", "t", "s")
    await tasks.complete("t")
    second = await tasks.register(named("t"))
    assert second.instance != first.instance
    assert second.idempotency_key != first.idempotency_key
    assert states(await tasks.list(EVERYTHING)) == {"t": "pending"}


async def test_of_two_processes_that_register_one_id_at_once_one_is_refused(scene: Scene) -> None:
    one, other = await scene.tasks(), await scene.tasks()
    refresh = other._log.refresh
    stored: list[TaskRecord] = []

    async def and_the_other_was_quicker() -> None:
        await refresh()
        if not stored:
            stored.append(await one.register(named("t", producer="one")))

    other._log.refresh = and_the_other_was_quicker  # type: ignore[method-assign]
    with pytest.raises(TaskExists):
        await other.register(named("t", producer="other"))
    assert (await other.get("t")).instance == stored[0].instance


async def test_an_unknown_task_is_an_error_that_says_where_to_look(scene: Scene) -> None:
    tasks = await scene.tasks()
    for asked in (tasks.get("t"), tasks.update("t"), tasks.complete("t"), tasks.request_cancel("t"), tasks.wait("t")):
        with pytest.raises(TaskMissing) as missing:
            await asked
        assert str(missing.value) == "session 's' has no task 't'; `lash tasks list` shows which there are"
        assert missing.value.code == "task_missing"


async def test_a_state_is_set_by_the_verb_that_it_belongs_to(scene: Scene) -> None:
    tasks = await scene.tasks()
    await tasks.register(named("t"))
    with pytest.raises(InvalidInput) as refused:
        await tasks.update("t", state="completed")  # type: ignore[arg-type]
    assert str(refused.value) == (
        "a task's state cannot be set to 'completed' here, only to one of pending, running, waiting; use complete"
    )
    with pytest.raises(InvalidInput) as refused:
        await tasks.complete("t", "running")  # type: ignore[arg-type]
    assert str(refused.value) == (
        "a task's state cannot be set to 'running' here, only to one of completed, failed, cancelled, interrupted; "
        "use update or request_cancel"
    )


@pytest.mark.parametrize("task_id", ["a\nb", "x" * 201])
async def test_an_id_that_cannot_be_printed_or_is_too_long_is_refused(scene: Scene, task_id: str) -> None:
    tasks = await scene.tasks()
    with pytest.raises(InvalidInput, match="cannot be a task id: printable text of at most 200 characters"):
        await tasks.register(named(task_id))
    assert await tasks.list(EVERYTHING) == []


async def test_a_task_without_an_id_gets_one_of_its_kind(scene: Scene) -> None:
    tasks = await scene.tasks()
    one, two = await tasks.register(named("", kind="observer")), await tasks.register(named("", kind="observer"))
    assert one.task_id.startswith("observer-")
    assert one.task_id != two.task_id


async def test_texts_are_cut_and_made_storable(scene: Scene) -> None:
    tasks = await scene.tasks()
    await tasks.register(named("t"))
    await tasks.update("t", progress="a\udc80b")
    done = await tasks.complete("t", "failed", failure="x" * 10_000)
    assert done.progress == "a\N{REPLACEMENT CHARACTER}b"
    assert done.failure is not None
    assert len(done.failure) == MAX_TEXT
    assert done.failure.endswith("x…")


async def test_transfer_to_is_for_the_close_policy_that_needs_it(scene: Scene) -> None:
    tasks = await scene.tasks()
    for wrong in (named("t", close_policy="transfer"), named("t", transfer_to="o")):
        with pytest.raises(InvalidInput, match="transfer_to is given with close policy 'transfer' and with no other"):
            await tasks.register(wrong)
