"""The keys of all rows: one ordered table holds them, tenant by tenant."""

from __future__ import annotations

from lash_lmdb_store.rows import digest

__all__ = ["Tables"]


class Tables:
    """The keys of a tenant's rows. A letter says of which table a row is; each part behind it has a fixed length."""

    def __init__(self, tenant: str) -> None:
        self._tenant = digest(tenant)

    def lives(self) -> bytes:
        """Of a session's name: `Life`."""
        return b"S" + self._tenant

    def life(self, session_id: str) -> bytes:
        return self.lives() + digest(session_id)

    def nodes(self, graph: str = "") -> bytes:
        """Of a graph, by node id: `NodeRow`."""
        return b"N" + self._tenant + bytes.fromhex(graph)

    def order(self, graph: str) -> bytes:
        """Of a graph, by the order of storing: the key of the node."""
        return b"O" + self._tenant + bytes.fromhex(graph)

    def sharers(self, graph: str) -> bytes:
        """Of a graph, by session: the session's id."""
        return b"G" + self._tenant + bytes.fromhex(graph)

    def records(self, session_id: str | None = None) -> bytes:
        """Of a session, by revision: `CommitRecord`."""
        return b"R" + self._tenant + (b"" if session_id is None else digest(session_id))

    def commits(self, session_id: str) -> bytes:
        """Of a session, by commit id: the key of the record."""
        return b"C" + self._tenant + digest(session_id)

    def last(self, session_id: str) -> bytes:
        """Of a session, by stream: the highest sequence ever given."""
        return b"L" + self._tenant + digest(session_id)

    def entries(self, session_id: str | None = None) -> bytes:
        """Of a session, by stream and sequence: `StreamRow`."""
        return b"E" + self._tenant + (b"" if session_id is None else digest(session_id))

    def keys(self, session_id: str) -> bytes:
        """Of a session, by stream and key: the sequence."""
        return b"K" + self._tenant + digest(session_id)

    def blobs(self) -> bytes:
        """By ref: the body."""
        return b"B" + self._tenant

    def blob(self, ref: str) -> bytes:
        return self.blobs() + digest(ref)

    def ages(self) -> bytes:
        """By ref: when the blob was put or referred to, and by which transaction."""
        return b"A" + self._tenant

    def age(self, ref: str) -> bytes:
        return self.ages() + digest(ref)
