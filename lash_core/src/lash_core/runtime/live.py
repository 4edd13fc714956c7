"""Which sessions are open in this process, so that a parked one is not resumed beside itself (L8)."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lash_hookspecs.errors import SessionBusy

if TYPE_CHECKING:
    from lash_hookspecs.protocols.stores import StoreBackend

    from lash_core.runtime.readable import ReadableRuntime

__all__ = ["find_live", "register", "resuming", "unregister"]

#: (store, session) → its open runtimes in the order of their opening; one that nobody holds any more does not count.
_live: dict[tuple[object, str], list[weakref.ref[ReadableRuntime]]] = {}

#: (store, session) of handles that are being resumed.
_resuming: set[tuple[object, str]] = set()


def register(runtime: ReadableRuntime, backend: StoreBackend | None) -> None:
    """Remember a runtime as open."""
    if backend is not None:
        key = _key(backend, runtime.session_id)
        _live.setdefault(key, []).append(weakref.ref(runtime, lambda ref: _forget(key, ref)))


def unregister(runtime: ReadableRuntime, backend: StoreBackend | None) -> None:
    """Forget a runtime; nothing happens to one that is not remembered."""
    if backend is not None:
        _forget(_key(backend, runtime.session_id), weakref.ref(runtime))


def find_live(backend: StoreBackend, session_id: str) -> ReadableRuntime | None:
    """Give the open runtime of a session; of several the one that was opened first."""
    found = (ref() for ref in _live.get(_key(backend, session_id), ()))
    return next((runtime for runtime in found if runtime is not None), None)


def _forget(key: tuple[object, str], ref: weakref.ref[ReadableRuntime]) -> None:
    left = [each for each in _live.pop(key, ()) if each != ref]
    if left:
        _live[key] = left


@contextlib.contextmanager
def resuming(backend: StoreBackend, session_id: str) -> Iterator[None]:
    """Hold a session to its one runtime while it is resumed.

    Raises:
        SessionBusy: It is open here, names the runtime; or somebody else resumes it just now.
    """
    key, runtime = _key(backend, session_id), find_live(backend, session_id)
    if key in _resuming:
        raise SessionBusy(
            f"session {session_id!r} of {backend.name} is being resumed in this process already; wait for that one",
            session_id=session_id,
        )
    if runtime is not None:
        raise SessionBusy(
            f"session {session_id!r} of {backend.name} is open in this process already ({runtime.describe()}); park or "
            "close that one first",
            session_id=session_id,
            holder=runtime.me,
        )
    _resuming.add(key)
    try:
        yield
    finally:
        _resuming.discard(key)


def _key(backend: StoreBackend, session_id: str) -> tuple[object, str]:
    """Two backends with one name are one database, unless they are held in memory."""
    held = backend.capabilities.durability == "none"
    return (id(backend) if held else backend.name), session_id
