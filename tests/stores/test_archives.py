"""Archives: what was exported is imported node for node, and nothing else is (S8, S11)."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from lash_conformance.build import Author, chain, node
from lash_core.runtime.archive_export import export_sessions, families
from lash_core.runtime.archive_import import import_archive
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import InvalidArchive, SessionExists, SessionMissing
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Head, SessionQuery, StreamEntry, Writer, blob_ref
from lash_store_sql.postgres.backend import open_postgres
from lash_store_sql.sqlite import open_sqlite
from postgres_server import shared_server

from lash_core import Agent, Lash

HOSTILE = "tricky \u2028\u2029\x85\x1c 'quoted' \"double\" \\ \U0001f600 \u202e"


async def memory(folder: Path) -> StoreBackend:
    return MemoryBackend()


async def sqlite(folder: Path) -> StoreBackend:
    return await open_sqlite(f"sqlite:///{folder}/store.db", True)


async def postgres(folder: Path) -> StoreBackend:
    server = shared_server()
    return await open_postgres(server.url_of(await asyncio.to_thread(server.fresh)), False)


async def compressed(folder: Path) -> StoreBackend:
    return await open_sqlite(f"sqlite:///{folder}/store.db?compression=zstd", True)


STORES: dict[str, Callable[[Path], Awaitable[StoreBackend]]] = {
    "memory": memory,
    "compressed": compressed,
    "sqlite": sqlite,
    "postgres": postgres,
}


async def fill(store: StoreBackend) -> None:
    """Write a family of three and a session beside it, with one of everything."""
    author = Author(store, "chat ' \" \\ \U0001f600 \u202e \u2028", Writer(f"{0xAB:032x}", 3))
    (blob,) = await author.store.put_blobs([b"\x00\xff binary"])
    named = b'{"spilled":"%s"}' % (await author.store.put_blobs([b"named in a stream"]))[0].encode()
    trunk = [node(HOSTILE), node("b", HOSTILE, refs=(blob,), payload=f'{{"t":"{HOSTILE}"}}'.encode())]
    component = HOSTILE.encode()
    await author.commit(
        trunk, components={"mode": blob_ref(component)}, blobs={blob_ref(component): component},
        labels={"user": HOSTILE}, ttl=12.5,
    )  # fmt: skip
    await author.turn(3, record=b"\xff\x00 no text", commit_id=HOSTILE)
    await author.commit([node("odd", author.leaf, payload=b"\xff\x01 no text")])
    side = chain(2, "b")
    await author.commit(side, leaf=author.leaf)
    await author.store.hide([side[1].node_id])  # type: ignore[attr-defined]
    fork = await author.fork("fork", "b")
    await fork.turn(2)
    gone = await author.fork("gone", "b")
    await gone.turn(1)
    grandchild = await gone.fork("grandchild", gone.leaf)
    await gone.store.delete(incarnation=gone.writer.incarnation, deleted_at=1)
    await grandchild.turn(1)
    entries = [StreamEntry(f"k{number}", named) for number in range(4)]
    await author.store.append(HOSTILE, entries, writer=author.writer)
    await author.store.trim(HOSTILE, 1, writer=author.writer)
    await author.turn(1, open_turn="t9")
    await fork.turn(1)
    await Author(store, "beside", Writer("i2", 0)).turn(2)


async def everything(store: StoreBackend) -> dict[str, Any]:
    """Give all that a store knows, in comparable form."""
    page = await store.sessions(SessionQuery())
    told: dict[str, Any] = {}
    for row in page.rows:
        session: Any = store.session(row.head.session_id)
        records = await session.records()
        refs = {ref for each in (row.head, *records) for ref in each.components.values()}
        nodes = await session.archive()
        refs.update(ref for each in nodes for ref in each.node.refs)
        told[row.head.session_id] = (
            row.head,
            nodes,
            await session.graph(),
            records,
            {name: (last, await session.read(name)) for name, last in (await session.streams()).items()},
            await session.sharers(),
            await session.get_blobs(sorted(refs)),
        )
    return told


async def exported(store: StoreBackend, *session_ids: str) -> bytes:
    names = list(session_ids) or [row.head.session_id for row in (await store.sessions(SessionQuery())).rows]
    groups = [family async for family in families(store, names)]
    file = io.BytesIO()
    told = await export_sessions(store, groups, file.write)
    assert told.bytes == len(file.getvalue())
    return file.getvalue()


@pytest.mark.parametrize("target", STORES)
@pytest.mark.parametrize("source", STORES)
async def test_what_was_exported_is_imported_node_for_node_and_back(source: str, target: str, tmp_path: Path) -> None:
    first, second, third = [await STORES[name](tmp_path / f"{n}") for n, name in enumerate((source, target, source))]
    await fill(first)
    archive = await exported(first)
    assert (await import_archive(second, io.BytesIO(archive))).renewed == []
    assert await everything(second) == await everything(first)
    await import_archive(third, io.BytesIO(await exported(second)))
    assert await everything(third) == await everything(first)
    assert await exported(third) == archive
    for store in (second, third):
        assert (await store.check()).findings == ()  # type: ignore[attr-defined]
    assert await second.session("fork").get_blobs([blob_ref(b"named in a stream")])
    for store in (first, second, third):
        await store.close()


async def test_a_session_of_a_shared_graph_brings_what_it_stands_on_and_no_more(tmp_path: Path) -> None:
    first, second = MemoryBackend(), await sqlite(tmp_path)
    await fill(first)
    await import_archive(second, io.BytesIO(await exported(first, "grandchild")))
    grandchild: Any = second.session("grandchild")
    head = await grandchild.head()
    assert await grandchild.graph() == await first.session("grandchild").path(head.leaf)
    assert await grandchild.path(head.leaf) == await grandchild.graph()
    assert [row.head.session_id for row in (await second.sessions(SessionQuery())).rows] == ["grandchild"]
    await grandchild.delete(incarnation=head.incarnation, deleted_at=1)
    assert (await second.stats()).nodes == 0
    await second.close()


async def test_a_session_that_was_deleted_here_comes_back_under_another_incarnation(tmp_path: Path) -> None:
    store = await sqlite(tmp_path)
    author = Author(store, "chat", Writer("i1", 0))
    await author.turn(2)
    archive = await exported(store)
    await author.store.delete(incarnation="i1", deleted_at=1)
    told = await import_archive(store, io.BytesIO(archive))
    assert (told.sessions, told.renewed) == (["chat"], ["chat"])
    head = await author.store.head()
    assert isinstance(head, Head)
    assert head.incarnation != "i1"
    await store.close()


async def test_an_import_over_a_living_session_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    store = await sqlite(tmp_path)
    await fill(store)
    archive, before = await exported(store), await everything(store)
    with pytest.raises(SessionExists):
        await import_archive(store, io.BytesIO(archive))
    assert await everything(store) == before
    told = await import_archive(store, io.BytesIO(archive), skip_same=True)
    assert (told.sessions, len(told.skipped)) == ([], 4)
    await store.close()


async def test_a_session_that_is_not_there_cannot_be_exported() -> None:
    with pytest.raises(SessionMissing):
        await exported(MemoryBackend(), "none")


# hostile files


def lines_of(archive: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.splitlines(keepends=True)]


def sealed(lines: list[dict[str, Any]]) -> bytes:
    """Write lines with checksums that fit: what a forger would."""
    digest, out = hashlib.sha256(), b""
    for line in lines:
        for kind in ("family_ends", "archive_ends"):
            if kind in line:
                line = {kind: {**line[kind], "sha256": digest.hexdigest()}}
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        digest.update(data)
        out += data
    return out


def changed(lines: list[dict[str, Any]], kind: str, *, nth: int = 0, **fields: Any) -> list[dict[str, Any]]:
    places = [place for place, line in enumerate(lines) if kind in line]
    place = places[nth]
    return [*lines[:place], {kind: {**lines[place][kind], **fields}}, *lines[place + 1 :]]


def forged(lines: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]], str]]:
    """Give files whose checksums fit, each with what is wrong with it."""
    at = {kind: next(n for n, line in enumerate(lines) if kind in line) for kind in ("node", "record", "entry", "blob")}
    yield "a later version", [{"lash_archive": 2}, *lines[1:]], "the archive has version 2; this lash reads up to 1"
    yield "something else", [{"hello": 1}, *lines[1:]], "this is no archive of sessions"
    yield "an unknown line", [*lines[:1], {"pickle": "gASV"}, *lines[1:]], "'pickle' is no line that this version"
    yield "a node first", [lines[0], lines[at["node"]], *lines[1:]], "belongs to session"
    yield "a head behind nodes", [*lines[: at["record"]], lines[1], *lines[at["record"] :]], "a head stands behind a"
    yield "a session twice", [*lines[:2], *lines[1:]], "is in the archive twice"
    yield "a node twice", [*lines[: at["node"] + 1], *lines[at["node"] :]], "is there twice"
    yield "no parent", changed(lines, "node", nth=1, parent="none"), "comes before its parent 'none'"
    yield "a record twice", [*lines[: at["record"] + 1], *lines[at["record"] :]], "is not in its place"
    yield "a record too new", changed(lines, "record", revision=99), "is not in its place"
    yield "another content", changed(lines, "blob", body="evil"), "is not what its ref names"
    yield "an entry twice", [*lines[: at["entry"] + 1], *lines[at["entry"] :]], "is not in its place"
    yield "a stray entry", [*lines[: at["record"]], lines[at["entry"]], *lines[at["record"] :]], "behind no stream"
    wrong: list[tuple[str, str, Any]] = [
        ("head", "revision", -1), ("head", "revision", 1 << 40), ("head", "epoch", 1 << 70), ("head", "epoch", True),
        ("head", "session_id", "\ud800"), ("head", "session_id", "a\x00b"), ("head", "labels", ["x"]),
        ("head", "components", {"a": "../../etc"}), ("head", "ttl", -1), ("head", "ttl", "x"),
        ("node", "payload", None), ("node", "payload", {"base64": "*"}), ("node", "refs", "x"), ("node", "hidden", 1),
        ("node", "timestamp", 1.5), ("node", "node_id", 7), ("record", "digest", "00"), ("entry", "key", None),
        ("stream", "last", "many"), ("blob", "ref", "x" * 64),
    ]  # fmt: skip
    for kind, field, value in wrong:
        fields: dict[str, Any] = {field: value}
        yield f"{kind}.{field}={value!r}", changed(lines, kind, **fields), ""


async def test_a_forged_archive_is_an_error_that_names_the_line_and_stores_nothing(tmp_path: Path) -> None:
    source, target = MemoryBackend(), await sqlite(tmp_path)
    await fill(source)
    lines = lines_of(await exported(source))
    await import_archive(MemoryBackend(), io.BytesIO(sealed(lines)))  # a forger is believed where nothing is wrong
    for what, wrong, message in forged(lines):
        with pytest.raises(InvalidArchive) as caught:
            await import_archive(target, io.BytesIO(sealed(wrong)), where="x.jsonl")
        assert message in str(caught.value), what
        assert str(caught.value).startswith(f"x.jsonl, line {caught.value.line}: "), what
        assert attrs.asdict(await target.stats())["sessions"] == 0, what
        assert (await target.stats()).blobs == 0, what
    await target.close()


async def test_an_archive_that_was_cut_or_changed_anywhere_is_refused(tmp_path: Path) -> None:
    source, target = MemoryBackend(), await sqlite(tmp_path)
    await fill(source)
    archive = await exported(source)
    cuts = [*range(0, len(archive), len(archive) // 25), len(archive) - 1]
    ends = [archive.rindex(b'{"archive_ends"'), archive.index(b'{"family_ends"')]
    for cut in [*cuts, *ends]:
        with pytest.raises(InvalidArchive):
            await import_archive(target, io.BytesIO(archive[:cut]))
    for place in range(5, len(archive), len(archive) // 40):
        flipped = archive[:place] + bytes([archive[place] ^ 1]) + archive[place + 1 :]
        with pytest.raises(InvalidArchive):
            await import_archive(target, io.BytesIO(flipped))
    with pytest.raises(InvalidArchive, match="behind the end"):
        await import_archive(target, io.BytesIO(archive + archive))
    for rubbish in (b"", b"\n", b"\x00" * 100, b"[" * 100_000 + b"\n", b"NaN\n", b"{}\n", b"SQLite format 3\x00\n"):
        with pytest.raises(InvalidArchive):
            await import_archive(target, io.BytesIO(rubbish))
    assert (await target.stats()).sessions == (await target.stats()).blobs == 0
    await target.close()


async def test_an_archive_that_changes_between_its_two_readings_stores_no_session(tmp_path: Path) -> None:
    source, target = MemoryBackend(), await sqlite(tmp_path)
    await Author(source, "chat", Writer("i", 0)).turn(1, record=b'{"honest":"yes"}')
    file = Swapped(await exported(source))
    with pytest.raises(InvalidArchive, match="checksum"):
        await import_archive(target, file)
    assert (await target.stats()).sessions == 0
    await target.close()


class Swapped(io.BytesIO):
    """A file that is another one from its second reading on."""

    def seek(self, offset: int, whence: int = 0) -> int:
        if self.tell() == len(self.getvalue()):
            swapped = self.getvalue().replace(b"honest", b"hacked")
            self.getbuffer()[:] = swapped
        return super().seek(offset, whence)


async def test_an_app_exports_and_loads_through_its_own_door(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    async with Lash.open(f"sqlite:///{tmp_path}/one.db", agent=Agent()) as lash:
        chat = await lash.session("chat")
        await chat.turn("What is kept?")
        parked = await chat.park()
        told = await lash.export("chat", path)
    assert (told.sessions, path.stat().st_mode & 0o777) == (["chat"], 0o600)
    async with Lash.open(f"sqlite:///{tmp_path}/two.db", agent=Agent()) as lash:
        assert (await lash.load(path)).sessions == ["chat"]
        chat = await lash.session("chat", create=False)
        assert chat.document.turn_index == 1
        assert chat.head is not None
        assert (chat.head.revision, chat.head.incarnation) == (parked.revision, parked.incarnation)
        assert (await chat.turn("And now?")).outcome == "finished"
