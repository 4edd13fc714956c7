"""The files of one session: taken in, kept, and read again just before a model is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import attrs
from lash_hookspecs.errors import AttachmentUnresolved, InvalidInput, LashError, MissingAttachment, UnreadableData
from lash_hookspecs.protocols.attachments import AttachmentStore
from lash_hookspecs.protocols.tools import Attachment
from lash_hookspecs.records.attachments import (
    AttachmentData,
    AttachmentRef,
    Stored,
    not_shown,
    takes,
)
from lash_hookspecs.records.models import AssistantTurn, ModelMessage, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import AttachmentPart
from lash_hookspecs.records.tools import ToolResult

from lash_core.attachments.cache import ByteCache

__all__ = ["Accepted", "SessionFiles"]


@attrs.frozen
class Accepted:
    """The files of a turn's input, before anything is written.

    Attributes:
        parts: For the user's message.
        blobs: Bodies to store with the commit of that message.
        outside: Bodies for the app's own store; `SessionFiles.store_outside` puts them there.
    """

    parts: tuple[AttachmentPart, ...] = ()
    blobs: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)
    outside: tuple[tuple[AttachmentRef, bytes], ...] = attrs.field(default=(), repr=False)


class SessionFiles:
    """What a session's messages and tool results refer to."""

    def __init__(
        self, session: AttachmentStore, external: AttachmentStore | None = None, *, max_bytes: int, cache_bytes: int
    ) -> None:
        """Use the stores; nothing is read yet.

        Args:
            session: The session's own store.
            external: The app's store, where it has one: what users send is kept there instead.
            max_bytes: The largest file that is taken.
            cache_bytes: How much of what was read is kept in memory.
        """
        self.max_bytes = max_bytes
        self._session = session
        self._external = external
        self._cache = ByteCache(cache_bytes)

    def name(self, file: Attachment) -> AttachmentRef:
        """Give the reference of a file, which may be stored or not.

        Raises:
            InvalidInput: It is too large, or its media type is none.
        """
        ref = file.ref()
        if ref.size > self.max_bytes:
            raise InvalidInput(f"attachment {ref.describe()} is too large: at most {self.max_bytes:,} bytes are taken")
        return ref

    async def attach(self, file: Attachment) -> AttachmentRef:
        """Store a file that a user is about to send.

        Raises:
            InvalidInput: It is too large, or its media type is none.
            StoreError: It cannot be stored.
        """
        ref = self.name(file)
        return await self._put(self._external or self._session, ref, file.data)

    async def keep(self, file: Attachment) -> AttachmentRef:
        """Store a file that a tool returned, in the session's store.

        Raises:
            InvalidInput: It is too large, or its media type is none.
            StoreError: It cannot be stored.
        """
        return await self._put(self._session, self.name(file), file.data)

    async def accept(self, refs: Sequence[AttachmentRef], bodies: Mapping[str, bytes] | None = None) -> Accepted:
        """Take in the files of a turn's input; writes nothing.

        Args:
            refs: The files, in order; one that is named twice counts once.
            bodies: The bytes of those that are new.

        Raises:
            InvalidInput: A file is neither new nor stored; the message names it.
        """
        parts: dict[str, AttachmentPart] = {}
        blobs: dict[str, bytes] = {}
        outside: list[tuple[AttachmentRef, bytes]] = []
        for ref in refs:
            if ref.id in parts:
                continue
            body = (bodies or {}).get(ref.id)
            if body is None:
                parts[ref.id] = await self._find(ref)
                continue
            named = self.name(Attachment(body, ref.media_type, ref.name))
            self._cache.add(named.id, body)
            if self._external is None:
                blobs[named.id] = body
            else:
                outside.append((named, body))
            parts[ref.id] = AttachmentPart(ref=named, stored="session" if self._external is None else "external")
        return Accepted(tuple(parts.values()), blobs, tuple(outside))

    async def store_outside(self, accepted: Accepted) -> None:
        """Put what belongs into the app's own store there; a commit brings the rest."""
        for ref, body in accepted.outside:
            assert self._external is not None
            await self._put(self._external, ref, body)

    async def copy_from(self, origin: SessionFiles, refs: Sequence[AttachmentRef]) -> None:
        """Store what another session's store has of some files, so that this one's turns may refer to them.

        A file that is not there is passed over: the turn that refers to it is refused by name.
        """
        for ref in refs:
            with contextlib.suppress(InvalidInput):
                part = await origin._find(ref)
                if part.stored == "session":
                    await self._put(self._session, part.ref, await origin._read(part.ref, part.stored))

    async def resolve(self, messages: tuple[ModelMessage, ...], prefixes: tuple[str, ...]) -> tuple[ModelMessage, ...]:
        """Put in the bytes that a model takes, and notes in place of everything else.

        Args:
            messages: Of a request.
            prefixes: Of the media types that the model takes, as `ModelInfo` says.

        Raises:
            AttachmentUnresolved: A file that the model takes cannot be read.
        """
        return tuple([await self._resolved(message, prefixes) for message in messages])

    async def _resolved(self, message: ModelMessage, prefixes: tuple[str, ...]) -> ModelMessage:
        if isinstance(message, UserTurn) and message.attachments:
            shown, notes = await self._shown(message.attachments, prefixes)
            text = "\n".join([*([message.text] if message.text else []), *notes])
            return message.evolve(text=text, attachments=shown)
        if isinstance(message, ToolTurn) and _files_in(message):
            known = {file.ref.id: file for file in message.attachments}
            results: list[ToolResult] = []
            for result in message.results:
                files = [known.get(ref.id) or AttachmentData(ref=ref) for ref in result.attachments]
                shown, notes = await self._shown(files, prefixes)
                known.update((file.ref.id, file) for file in shown)
                results.append(_noted(result, shown, notes))
            data = {ref.id: known[ref.id] for result in results for ref in result.attachments}
            return message.evolve(results=tuple(results), attachments=tuple(data.values()))
        return message

    async def _shown(
        self, files: Sequence[AttachmentData], prefixes: tuple[str, ...]
    ) -> tuple[tuple[AttachmentData, ...], list[str]]:
        shown: list[AttachmentData] = []
        notes: list[str] = []
        for file in files:
            if not takes(prefixes, file.ref.media_type):
                notes.append(not_shown(file.ref))
            elif file.data is not None:
                shown.append(file)
            else:
                shown.append(file.evolve(data=await self._read(file.ref, file.stored)))
        return tuple(shown), notes

    async def _read(self, ref: AttachmentRef, stored: Stored) -> bytes:
        body = self._cache.get(ref.id)
        if body is not None:
            return body
        store = self._session if stored == "session" else self._external
        if store is None:
            raise _unresolved(ref, "it is in a store of the app, and the session was opened without one")
        try:
            body = await store.get(ref)
        except (MissingAttachment, UnreadableData) as error:
            raise _unresolved(ref, error.message) from error
        except Exception as error:
            if stored == "session":  # the store itself cannot be used: nothing that is said could be committed
                raise
            told = error.message if isinstance(error, LashError) else f"{type(error).__name__}: {error}"
            raise _unresolved(ref, told) from error
        self._cache.add(ref.id, body)
        return body

    async def _find(self, ref: AttachmentRef) -> AttachmentPart:
        places: tuple[tuple[Stored, AttachmentStore | None], ...] = (
            ("external", self._external),
            ("session", self._session),
        )
        for stored, store in places:
            if store is None:
                continue
            try:
                body = await store.get(ref)  # never from the cache: what counts is that it is stored
            except MissingAttachment:
                continue
            except UnreadableData as error:
                raise InvalidInput(f"{error.message}; attach the file again") from error
            self._cache.add(ref.id, body)
            return AttachmentPart(ref=self.name(Attachment(body, ref.media_type, ref.name)), stored=stored)
        raise InvalidInput(f"attachment {ref.describe()} with id {ref.id} is not stored: attach its bytes first")

    async def _put(self, store: AttachmentStore, ref: AttachmentRef, body: bytes) -> AttachmentRef:
        self._cache.add(ref.id, body)
        return await store.put(body, media_type=ref.media_type, name=ref.name)


def _files_in(message: ModelMessage) -> bool:
    if isinstance(message, AssistantTurn):
        return False
    if isinstance(message, UserTurn):
        return bool(message.attachments)
    return any(result.attachments for result in message.results)


def _noted(result: ToolResult, shown: Sequence[AttachmentData], notes: Sequence[str]) -> ToolResult:
    if not notes:
        return result
    output = "\n".join([*([result.text] if result.text else []), *notes])
    return result.evolve(output=output, attachments=tuple(file.ref for file in shown))


def _unresolved(ref: AttachmentRef, reason: str) -> AttachmentUnresolved:
    return AttachmentUnresolved(
        f"attachment {ref.describe()} cannot be shown to the model: {reason}. Put it back, or go on from a node "
        "before it (`lash branch`)",
        step="model call",
    )
