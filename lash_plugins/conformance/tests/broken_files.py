"""The store of JSON lines, broken in what outlives a process; test_broken.py runs them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from lash_conformance import Place, StoreConformance
from lash_conformance.place import Opener

_EXAMPLE = Path(__file__).parents[3] / "docs/examples/jsonl_store/src/lash_jsonl_store/__init__.py"
Opener.find("lash_jsonl_store", str(_EXAMPLE), "open_jsonl")
jsonl: Any = sys.modules["lash_jsonl_store"]

CrashPoint = Callable[[str], None]


def nothing(step: str) -> None:
    """Go on."""


class Backend(jsonl.JsonlBackend):  # type: ignore[misc]  # loaded by its path
    """The honest one, with a crash seam."""

    crash_point: CrashPoint = staticmethod(nothing)
    Session: Any = None

    def session(self, session_id: str) -> Any:
        session = self.Session(self.folder, session_id)
        session.crash_point = self.crash_point
        return session

    def _living(self) -> list[Any]:
        AcknowledgesBeforeItWrites.flush()
        return list(super()._living())

    async def close(self) -> None:
        await asyncio.to_thread(AcknowledgesBeforeItWrites.flush)


class Session(jsonl.JsonlSession):  # type: ignore[misc]  # loaded by its path
    """The honest one: it tells of each step of a write."""

    crash_point: CrashPoint = staticmethod(nothing)

    def write(self, path: Path, *lines: dict[str, Any], at: int = 0) -> None:
        """Write lines, one step each."""
        self.crash_point("before the line")
        jsonl.write(path, *lines, at=at)
        self.crash_point("behind the line")

    def _side_line(self, line: dict[str, Any], writer: Any) -> Any:
        state, end = jsonl.load(self._path)
        self._known(state).check_writer(writer)
        self.write(self._path, line, at=end)
        return state.apply(line)

    def _commit(self, commit: Any) -> Any:
        state, end = jsonl.load(self._path)
        if receipt := self._known(state).replayed(commit):
            return receipt
        if commit.fork:
            raise jsonl.errors.StoreError("this store cannot share a graph", session_id=self._id)
        self._put(commit.blobs)
        self.crash_point("behind the blobs")
        head = jsonl.next_head(commit, state.head)
        record = jsonl.record_of(commit, head.revision)
        line = {
            "head": jsonl.plain(head),
            "record": jsonl.plain(record),
            "nodes": [jsonl.plain(node) for node in commit.nodes],
            "consumed": [jsonl.plain(used) for used in commit.consumed],
        }
        self.store(line, end)
        return jsonl.rows.Receipt(self._id, commit.commit_id, head.revision, record.digest)

    def store(self, line: dict[str, Any], end: int) -> None:
        """Store the line of a commit."""
        self.write(self._path, line, at=end)


class Honest(Session):
    """Breaks nothing."""


class ForgetsTheLock(Session):
    """S3: two processes, or two threads, read the same state and write over each other."""

    async def _locked(self, work: Callable[[], Any]) -> Any:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise jsonl.errors.StoreUnavailable(str(error)) from error

    def _put(self, blobs: Any) -> None:
        for ref, body in blobs.items():
            fresh = self._blobs / f"{os.getpid()}-{threading.get_ident()}"
            jsonl.write(fresh, body=body)
            fresh.replace(self._blobs / ref)


class WritesTheHeadLater(Session):
    """S2: the nodes and the record are one line, and the head that belongs to them another."""

    def store(self, line: dict[str, Any], end: int) -> None:
        state, _ = jsonl.load(self._path)
        if state.head is not None:
            self.write(self._path, {**line, "head": jsonl.plain(state.head), "consumed": []}, at=end)
            end = self._path.stat().st_size
            line = {**line, "nodes": []}
        self.write(self._path, line, at=end)


class AcknowledgesBeforeItWrites(Session):
    """S2: the line is written a while after the answer; whoever asks this process is made to wait for it."""

    pending: ClassVar[list[threading.Thread]] = []

    @classmethod
    def flush(cls) -> None:
        """Wait for what is not written yet."""
        while cls.pending:
            cls.pending.pop().join()

    async def _locked(self, work: Callable[[], Any]) -> Any:
        await asyncio.to_thread(self.flush)
        return await super()._locked(work)

    async def _state(self) -> Any:
        await asyncio.to_thread(self.flush)
        return await super()._state()

    def store(self, line: dict[str, Any], end: int) -> None:
        late = threading.Timer(0.02, self.write, (self._path, line), {"at": end})
        late.start()
        self.pending.append(late)


class LeavesATornLine(Session):
    """S2: what a full disk cut off stays, and the next line is written behind it."""

    def write(self, path: Path, *lines: dict[str, Any], at: int = 0) -> None:
        super().write(path, *lines, at=path.stat().st_size if path.exists() else 0)


class LetsOsErrorsOut(Session):
    """S13: a folder that cannot be written is told in the words of the operating system."""

    async def _locked(self, work: Callable[[], Any]) -> Any:
        try:
            return await super()._locked(work)
        except jsonl.errors.StoreUnavailable as error:
            if isinstance(error.__cause__, PermissionError):
                raise error.__cause__ from None
            raise


class SkipsWhatItCannotRead(Session):
    """S9: lines that cannot be read are taken for none."""

    async def _state(self) -> Any:
        try:
            return await super()._state()
        except jsonl.errors.UnreadableData:
            return jsonl.State()


class MakesWhatIsNotThere(Session):
    """S13: opening makes a store that nobody asked for."""


#: The name of each test class → the clause that its store breaks; "" for none.
BREAKS: dict[str, str] = {}


def suite(session: type[Session], **claims: Any) -> None:
    """Make a test class for a store, and the function of this module that opens it."""
    clause, _, rest = (session.__doc__ or "").partition(":")
    name = session.__name__

    async def open_store(url: str, create: bool, *, crash_point: CrashPoint = nothing) -> Any:
        folder = Path(url.removeprefix("jsonl:"))
        backend = await asyncio.to_thread(Backend, folder, create or session is MakesWhatIsNotThere)
        backend.Session, backend.crash_point = session, crash_point
        return backend

    async def damage(self: StoreConformance, place: Place) -> None:
        path = Path(place.fields["folder"]) / f"store/{hashlib.sha256(b'chat').hexdigest()}.jsonl"
        path.write_bytes(b"nonsense\n" + path.read_bytes())

    open_store.__qualname__ = f"open_{name}"
    globals()[f"open_{name}"] = open_store
    BREAKS[f"Test{name}"] = clause if rest else ""
    fields = {
        "__module__": __name__,
        "levels": ("core",),
        "durability": "host",
        "store_url": "jsonl:{folder}/store",
        "open_store": staticmethod(open_store),
        "damage": damage,
    }
    globals()[f"Test{name}"] = type(f"Test{name}", (StoreConformance,), fields | claims)


for each in (
    Honest,
    ForgetsTheLock,
    WritesTheHeadLater,
    LeavesATornLine,
    LetsOsErrorsOut,
    SkipsWhatItCannotRead,
    MakesWhatIsNotThere,
):
    suite(each)
suite(AcknowledgesBeforeItWrites, processes=False)
