"""What session plugins keep with their session (P10)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hook_kinds import open_hooks, part, told
from lash_hookspecs.errors import LashError, PluginError, UnreadableData
from lash_hookspecs.protocols.session_plugins import SessionPlugin

if TYPE_CHECKING:
    from pydantic import JsonValue

NOTES = "plugin/lash-core/notes/notes"


@attrs.define(eq=False)
class Notes(SessionPlugin):
    """Keeps what it is told."""

    kept: Any = None
    schema_version: int = 1
    restored: list[tuple[int, Any]] = attrs.field(factory=list)
    closed: bool = False

    def snapshot(self) -> JsonValue:
        return self.kept  # type: ignore[no-any-return]

    async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
        self.restored.append((schema_version, snapshot))

    async def close(self) -> None:
        self.closed = True


async def written(kept: Any, version: int = 1) -> dict[str, bytes]:
    hooks = await open_hooks(part("notes", lambda _: Notes(kept, version)))
    await hooks.restore({})
    return hooks.snapshots()


async def failure(notes: SessionPlugin, bodies: dict[str, bytes]) -> LashError:
    hooks = await open_hooks(part("notes", lambda _: notes))
    with pytest.raises(LashError) as caught:
        await hooks.restore(bodies)
    return caught.value


async def test_what_a_part_keeps_comes_back() -> None:
    bodies = await written({"seen": ["ä", 1, None, {"deep": 0.5}]}, 3)
    assert bodies == {NOTES: '{"schema_version":3,"data":{"seen":["ä",1,null,{"deep":0.5}]}}'.encode()}
    notes = Notes(schema_version=3)
    hooks = await open_hooks(part("notes", lambda _: notes))
    report = await hooks.restore(bodies)
    assert notes.restored == [(3, {"seen": ["ä", 1, None, {"deep": 0.5}]})]
    assert (report.restored, report.fresh, report.kept) == ((NOTES,), (), ())


async def test_a_part_of_which_nothing_is_kept_is_told_so() -> None:
    notes = Notes()
    hooks = await open_hooks(part("notes", lambda _: notes))
    report = await hooks.restore({})
    assert notes.restored == [(0, None)]
    assert (report.restored, report.fresh, report.kept) == ((), (NOTES,), ())


async def test_a_part_with_nothing_to_keep_has_no_entry() -> None:
    assert await written(None) == {}


async def test_an_older_snapshot_is_handed_over_with_its_version() -> None:
    notes = Notes(schema_version=2)
    await (await open_hooks(part("notes", lambda _: notes))).restore(await written("old", 1))
    assert notes.restored == [(1, "old")]


async def test_a_newer_snapshot_is_refused_with_both_versions_and_nobody_is_restored() -> None:
    notes, other = Notes(schema_version=2), Notes()
    hooks = await open_hooks(part("notes", lambda _: notes), part("other", lambda _: other))
    with pytest.raises(PluginError) as caught:
        await hooks.restore(await written("new", 3))
    assert told(caught.value) == (
        "plugin 'notes' (lash-core 0.1.0): session plugin 'notes': the session keeps a snapshot of schema version 3, "
        "and this version of the plugin reads none above 2; install a newer one"
    )
    assert (caught.value.plugin, caught.value.session_id, caught.value.step) == ("notes", "s1", "restore")
    assert (notes.restored, other.restored) == ([], [])
    assert (notes.closed, other.closed) == (True, True)


async def test_entries_of_plugins_that_are_not_there_are_left_alone_and_reported() -> None:
    bodies = {"plugin/gone/gone/notes": b"whatever it is", "plugin/lash-core/notes/former": b"", "tools": b""}
    hooks = await open_hooks(part("notes", lambda _: Notes("mine")))
    report = await hooks.restore(bodies)
    assert report.kept == ("plugin/gone/gone/notes", "plugin/lash-core/notes/former")
    assert set(hooks.snapshots()) == hooks.components == {NOTES}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff", "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"[]", "TypeError: list indices must be integers or slices, not str"),
        (b'{"data": 1}', "KeyError: 'schema_version'"),
        (b'{"schema_version": 1}', "KeyError: 'data'"),
        (b'{"schema_version": "1", "data": 1}', "ValueError: schema_version is '1'"),
        (b'{"schema_version": 0, "data": 1}', "ValueError: schema_version is 0"),
    ],
)
async def test_an_entry_that_cannot_be_read_is_an_error_that_names_it(body: bytes, reason: str) -> None:
    notes = Notes()
    error = await failure(notes, {NOTES: body})
    assert isinstance(error, UnreadableData)
    assert str(error) == f"session 's1': component '{NOTES}' cannot be read: {reason}"
    assert (notes.restored, notes.closed) == ([], True)


async def test_a_part_that_fails_to_restore_is_named_and_all_are_closed() -> None:
    class Broken(Notes):
        async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
            await asyncio.sleep(0)
            raise ValueError("I cannot")

    notes, broken = Notes(), Broken()
    hooks = await open_hooks(part("a", lambda _: notes), part("notes", lambda _: broken))
    with pytest.raises(PluginError) as caught:
        await hooks.restore({})
    assert told(caught.value) == (
        "plugin 'notes' (lash-core 0.1.0): session plugin 'notes': restore() failed: ValueError: I cannot"
    )
    assert isinstance(caught.value.__cause__, ValueError)
    assert (notes.closed, broken.closed) == (True, True)


async def test_a_part_that_takes_too_long_to_restore_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lash_core.plugins.parts._RESTORE_DEADLINE", 0.01)

    class Hangs(Notes):
        async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
            await asyncio.Event().wait()

    assert told(await failure(Hangs(), {})) == (
        "plugin 'notes' (lash-core 0.1.0): session plugin 'notes': restore() missed its deadline of 0.01 s "
        "and was cancelled"
    )


async def test_plugins_are_restored_once() -> None:
    hooks = await open_hooks(part("notes", lambda _: Notes()))
    await hooks.restore({})
    with pytest.raises(RuntimeError, match="restored once"):
        await hooks.restore({})


async def test_nothing_is_kept_before_what_was_kept_is_restored() -> None:
    hooks = await open_hooks(part("notes", lambda _: Notes("new")))
    with pytest.raises(RuntimeError, match="would be lost"):
        hooks.snapshots()


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ({1, 2}, "Object of type set is not JSON serializable"),
        (float("nan"), "Out of range float values are not JSON compliant"),
        ("\ud800", "'utf-8' codec can't encode character '\\ud800'"),
    ],
)
async def test_a_snapshot_that_is_no_json_is_refused(kept: object, reason: str) -> None:
    with pytest.raises(PluginError) as caught:
        await written(kept)
    assert told(caught.value).startswith(
        f"plugin 'notes' (lash-core 0.1.0): session plugin 'notes': snapshot() must return JSON: {reason}"
    )


async def test_a_part_that_fails_to_give_its_snapshot_is_named() -> None:
    class Broken(Notes):
        def snapshot(self) -> JsonValue:
            raise ValueError("I cannot")

    hooks = await open_hooks(part("notes", lambda _: Broken()))
    await hooks.restore({})
    with pytest.raises(PluginError) as caught:
        hooks.snapshots()
    assert told(caught.value) == (
        "plugin 'notes' (lash-core 0.1.0): session plugin 'notes': snapshot() failed: ValueError: I cannot"
    )
