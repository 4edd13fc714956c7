"""Bytes that were read lately."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["ByteCache"]


class ByteCache:
    """Keeps bodies by id up to a number of bytes in all; what was not used for the longest time goes first."""

    def __init__(self, limit: int) -> None:
        """Keep nothing yet.

        Args:
            limit: Bytes; a larger body is never kept.
        """
        self.size = 0
        self._limit = limit
        self._bodies: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """Give a body, if it is here."""
        body = self._bodies.get(key)
        if body is not None:
            self._bodies.move_to_end(key)
        return body

    def add(self, key: str, body: bytes) -> None:
        """Keep a body."""
        if key in self._bodies or len(body) > self._limit:
            return
        self._bodies[key] = body
        self.size += len(body)
        while self.size > self._limit:
            self.size -= len(self._bodies.popitem(last=False)[1])
