"""What a store declares about itself (S15)."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal

import pytest
from lash_conformance.clauses import Clauses
from lash_hookspecs.protocols.stores import LeasedStore, StoreBackend

__all__ = ["LevelClauses"]

#: The levels that a store may declare in ``StoreCapabilities.levels``.
LEVELS = {"core", "concurrent", "retention", "sharing", "migration"}


class LevelClauses(Clauses, level="core"):
    """What a store declares about itself (S15)."""

    levels: ClassVar[Collection[str]]
    durability: ClassVar[Literal["none", "process", "host", "quorum"]]
    tenants: ClassVar[bool]

    async def test_S15_levels__what_the_author_claims_is_what_the_store_declares(self, backend: StoreBackend) -> None:
        declared = backend.capabilities
        assert set(declared.levels) == set(self.levels), "the store declares other levels than this class does"
        assert declared.durability == self.durability, "the store declares another durability than this class does"
        assert declared.tenants == self.tenants, "the store declares something else about tenants than this class does"

    async def test_S15_levels__only_levels_that_there_are_are_declared(self, backend: StoreBackend) -> None:
        assert "core" in backend.capabilities.levels
        assert set(backend.capabilities.levels) <= LEVELS
        assert backend.capabilities.durability in ("none", "process", "host", "quorum")

    async def test_S15_levels__a_session_has_a_lease_where_that_is_declared(self, backend: StoreBackend) -> None:
        if "concurrent" not in backend.capabilities.levels:
            pytest.skip("does not apply: level concurrent not declared")
        assert isinstance(backend.session("chat"), LeasedStore)

    async def test_S15_levels__a_store_has_a_name_for_people(self, backend: StoreBackend) -> None:
        assert backend.name
        assert "\n" not in backend.name
