"""Stores that keep their data in a folder: a full disk, a folder that cannot be written, rows that rot (S2, S9)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from lash_conformance.build import Author
from lash_conformance.clauses import Clauses, needs
from lash_conformance.looking import stored
from lash_conformance.place import Place
from lash_conformance.processes import Nursery
from lash_hookspecs.errors import StoreUnavailable, UnreadableData
from lash_hookspecs.records.store import Head, SessionQuery

__all__ = ["FileClauses", "UnreadableClauses"]

#: The largest file, in bytes, that a store may make while its disk is full.
LIMIT = 900_000


class FileClauses(Clauses, level="durable"):
    """A full disk, a folder that cannot be written, a store that is not there (S2, S13)."""

    processes: ClassVar[bool]

    @needs("folder")
    async def test_S2_atomic__a_full_disk_refuses_whole_and_the_store_goes_on_when_there_is_room(
        self, place: Place, nursery: Nursery
    ) -> None:
        await place.open()
        await place.close()
        life = nursery.bear("fill", url=place.url, session="chat", limit=LIMIT)
        told = await life.rest()
        assert life.end() == 0, told
        refused, full, after, _ = told
        assert refused["typed"], f"a full disk is StoreFull or StoreUnavailable, not {refused['refused']}"
        assert after["revision"] == (full["full"] or 0) + 2
        backend = await place.open(create=False)
        head = await stored(backend.session("chat"))
        assert (head.revision, head.leaf) == (after["revision"], after["leaf"])
        assert len(await backend.session("chat").path(after["leaf"])) == after["revision"] + 2
        assert len(await backend.session("chat").records()) == after["revision"]

    @needs("folder")
    async def test_S13_contention__a_folder_that_cannot_be_written_is_told(
        self, place: Place, nursery: Nursery
    ) -> None:
        author = Author(await place.open())
        await author.turn()
        await place.close()
        folder = Path(place.fields["folder"])
        _protect(folder, 0o555, 0o444)
        life = nursery.bear("read_only", url=place.url, session="chat")
        told = await life.rest()
        code = life.end()
        _protect(folder, 0o755, 0o644)
        assert code == 0, told
        refused = [line for line in told if "refused" in line]
        assert [line["typed"] for line in refused] == [True], told
        assert all(line["nodes"] == 3 for line in told if "nodes" in line)
        assert list(await (await place.open(create=False)).session("chat").graph()) == author.written

    @needs("folder")
    async def test_S13_contention__a_store_that_is_not_there_is_not_made_unasked(self, place: Place) -> None:
        with pytest.raises(StoreUnavailable):
            await place.open(create=False)


class UnreadableClauses(Clauses, level="core"):
    """Rows that rot (S9)."""

    async def damage(self, place: Place) -> None:
        """Make what is stored of the session ``chat`` unreadable, behind the store's back; override it to be tried."""
        raise NotImplementedError

    @needs("durable", "damage")
    async def test_S9_unreadable__what_cannot_be_read_is_an_error_and_never_no_session(self, place: Place) -> None:
        author = Author(await place.open())
        await author.turn()
        await place.close()
        await self.damage(place)
        backend = await place.open(create=False)
        with pytest.raises(UnreadableData) as caught:
            await backend.session("chat").head()
        assert caught.value.row
        with pytest.raises(UnreadableData):
            await backend.sessions(SessionQuery())

    @needs("durable", "damage")
    async def test_S9_unreadable__another_session_stays_readable(self, place: Place) -> None:
        backend = await place.open()
        await Author(backend).turn()
        other = Author(backend, "other")
        await other.turn()
        await place.close()
        await self.damage(place)
        backend = await place.open(create=False)
        head = await backend.session("other").head()
        assert isinstance(head, Head)
        assert list(await backend.session("other").path(other.ids[-1])) == other.written


def _protect(folder: Path, folders: int, files: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(folders if path.is_dir() else files)
