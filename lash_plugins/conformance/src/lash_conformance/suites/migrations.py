"""Level ``migration``: schemas of other versions (S10)."""

from __future__ import annotations

import pytest
from lash_conformance.build import Author
from lash_conformance.clauses import Clauses, needs
from lash_conformance.deeds import go_on
from lash_conformance.place import Place
from lash_hookspecs.errors import UnsupportedSchema

__all__ = ["MigrationClauses"]


class MigrationClauses(Clauses, level="migration"):
    """Level ``migration``: schemas of other versions (S10)."""

    async def make_old(self, place: Place) -> None:
        """Lay down a store of the oldest version, with a session ``chat`` that has nodes; override it."""
        raise NotImplementedError

    async def make_newer(self, place: Place) -> None:
        """Make the store that is there one of a later version that this one cannot read; override it."""
        raise NotImplementedError

    async def migrate(self, place: Place) -> None:
        """Bring the store to this version; override it where opening it is not enough."""
        backend = await place.open(create=False)
        await backend.migrate()
        await place.close()

    @needs("make_old")
    async def test_S10_migration__a_store_of_the_oldest_version_is_brought_forward_and_goes_on(
        self, place: Place
    ) -> None:
        await self.make_old(place)
        await self.migrate(place)
        author = Author(await place.open(create=False))
        assert await author.store.graph()
        assert await author.store.records()
        await go_on(author)

    @needs("make_old")
    async def test_S10_migration__migrating_twice_is_migrating_once(self, place: Place) -> None:
        await self.make_old(place)
        await self.migrate(place)
        before = list(await (await place.open(create=False)).session("chat").graph())
        await place.close()
        await self.migrate(place)
        assert list(await (await place.open(create=False)).session("chat").graph()) == before

    @needs("make_newer")
    async def test_S10_migration__a_newer_schema_is_refused_with_both_versions(self, place: Place) -> None:
        await Author(await place.open()).turn()
        await place.close()
        await self.make_newer(place)
        with pytest.raises(UnsupportedSchema) as caught:
            await (await place.open(create=False)).session("chat").head()
        assert sum(character.isdigit() for character in str(caught.value)) >= 2, "the message names both versions"
