"""Which sessions of a store would not resume here, and why; no plugin but that of the store is imported for it."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping

import attrs
from lash_hookspecs.errors import ConfigurationError, LashError, MissingBlob
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.payloads import decode_payload
from lash_hookspecs.records.state import HeadDocument, PluginFingerprint
from lash_hookspecs.records.store import Head, SessionRow

from lash_core.cli.opening import all_sessions
from lash_core.cli.output import to_stderr
from lash_core.plugins import PluginManager
from lash_core.plugins.parts import PREFIX
from lash_core.runtime.lease import is_live
from lash_core.runtime.reading import plugins_at
from lash_core.runtime.resident import read_document

__all__ = ["SessionCheck", "check_sessions"]

#: Seconds after which, and between which, it is said how far the checks are.
_PATIENCE = 1.0


@attrs.define
class SessionCheck:
    """What was found of one session.

    Attributes:
        session_id: The session.
        problems: Why it would not resume as it is.
        notes: What else is worth knowing, or cannot be known.
    """

    session_id: str
    problems: list[str] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)


async def check_sessions(store: StoreBackend, plugins: PluginManager) -> AsyncIterator[SessionCheck]:
    """Check every session of a store, page by page.

    Raises:
        StoreError: The store cannot list them.
    """
    checks = _Checks(store, plugins)
    progress = _Progress()
    successors: dict[str, str] = {}
    seen: set[str] = set()
    async for row in all_sessions(store):
        found, document = await checks.of(row)
        seen.add(found.session_id)
        if document is not None and document.successor is not None:
            successors[found.session_id] = document.successor
        progress.step(len(seen))
        yield found
    for session_id, successor in successors.items():
        if successor not in seen:
            yield SessionCheck(session_id, [f"it was handed off to session {successor!r}, which is not there"])


class _Checks:
    def __init__(self, store: StoreBackend, plugins: PluginManager) -> None:
        self._store = store
        self._plugins = plugins
        self._installed = {record.identity: record for record in plugins.records if record.usable}
        self._blobs: dict[str, bool] = {}

    async def of(self, row: SessionRow) -> tuple[SessionCheck, HeadDocument | None]:
        """Check one session; what cannot be read is a problem of it."""
        head = row.head
        found = SessionCheck(head.session_id)
        try:
            document = read_document(head)
        except LashError as error:
            found.problems.append(error.message)
            return found, None
        found.problems += self._not_installed(document)
        if head.open_turn is not None and not is_live(row.lease):
            found.problems.append(
                f"turn {document.turn_index} is interrupted; `lash turns continue` or `abandon` ends it"
            )
        handle = self._store.session(head.session_id)
        for check in (self._check_path, self._check_components):
            try:
                await check(handle, head, found)
            except LashError as error:
                found.problems.append(error.message)
        return found, document

    async def _check_path(self, handle: SessionStore, head: Head, found: SessionCheck) -> None:
        if head.leaf is None:
            return
        if not await handle.nodes([head.leaf]):
            found.problems.append(f"its leaf {head.leaf} is not stored; opening it moves the leaf")
            return
        for node in await handle.path(head.leaf):
            decode_payload(node)

    def _not_installed(self, document: HeadDocument) -> Iterator[str]:
        for kind, name in (("modes", document.config.mode), ("providers", document.config.model.partition(":")[0])):
            try:
                self._plugins.holder(kind, name)
            except ConfigurationError as error:
                yield error.message

    async def _check_components(self, handle: SessionStore, head: Head, found: SessionCheck) -> None:
        for name, ref in head.components.items():
            if not await self._is_stored(handle, ref):
                found.problems.append(f"what it keeps as {name!r} is gone from the store")
        wrote = {f"{each.distribution}/{each.name}": each for each in await plugins_at(handle, head.revision)}
        kept = [name for name in head.components if name.startswith(PREFIX)]
        for component in kept:
            self._check_snapshot(component.removeprefix(PREFIX).rpartition("/")[0], wrote, found)

    def _check_snapshot(self, identity: str, wrote: Mapping[str, PluginFingerprint], found: SessionCheck) -> None:
        record = self._installed.get(identity)
        if record is None:
            found.notes.append(f"plugin {identity} is not here; its snapshot is kept")
            return
        writer = wrote.get(identity)
        older = _is_older(record.version, writer.version) if writer else None
        if older is None:
            known = f"version {writer.version} wrote it" if writer else "nobody wrote down which version wrote it"
            found.notes.append(f"unknown whether {record.label} reads its snapshot: {known}")
        elif older and writer is not None:
            found.problems.append(
                f"version {writer.version} of {identity} wrote its snapshot, and {record.version} is installed, which "
                "may refuse it; install the newer one"
            )

    async def _is_stored(self, handle: SessionStore, ref: str) -> bool:
        if ref not in self._blobs:
            try:
                await handle.get_blobs([ref])
            except MissingBlob:
                self._blobs[ref] = False
            else:
                self._blobs[ref] = True
        return self._blobs[ref]


class _Progress:
    """Says on stderr how far it is, once it takes a while."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PATIENCE

    def step(self, done: int) -> None:
        """Take note of one more session."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PATIENCE
            to_stderr(f"lash: checked {done} sessions so far")


def _is_older(version: str, other: str) -> bool | None:
    """Tell whether a version is older than another one; ``None`` when that takes more than numbers to tell."""
    if version == other:
        return False
    numbers = [re.fullmatch(r"\d+(\.\d+)*", each) for each in (version, other)]
    if not all(numbers):
        return None
    one, two = ([int(part) for part in each.split(".")] for each in (version, other))
    return one < two
