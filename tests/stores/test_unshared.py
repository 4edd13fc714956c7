"""A store without level ``sharing`` says so, and the runtime copies instead (S12)."""

from __future__ import annotations

import pytest
from lash_hookspecs.errors import StoreError
from lash_hookspecs.records.store import Absent, Fork

from tests.stores.build import Author, commit

LEVEL = "unshared"


async def test_s12_a_store_that_cannot_share_refuses_a_fork(author: Author) -> None:
    await author.turn()
    other = author.backend.session("fork")
    with pytest.raises(StoreError) as caught:
        await other.commit(commit("fork", fork=Fork("chat", author.leaf)))
    assert str(caught.value) == "this store cannot share a graph: copy the path instead"
    assert await other.head() == Absent()
    assert "sharing" not in author.backend.capabilities.levels
