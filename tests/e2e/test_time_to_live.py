"""Labels, time to live and tenants from the front door to the database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lash_hookspecs.errors import ConfigurationError, PolicyError, SessionMissing
from lash_hookspecs.protocols.retention import RetainedBackend
from lash_hookspecs.records.store import Head

from lash_core import Lash

HOUR = 3_600 * 1_000_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/agents.db"


async def stored(lash: Lash, session_id: str) -> Head:
    head = await lash.store.session(session_id).head()
    assert isinstance(head, Head)
    return head


async def test_a_session_lives_for_its_time_after_the_last_commit_and_goes_whole(url: str) -> None:
    async with Lash.open(url) as lash:
        for name, ttl in (("short", 3_600.0), ("long", 7_200.0), ("ever", None)):
            await (await lash.session(name, ttl=ttl)).turn("hello")
        assert [(await stored(lash, name)).ttl for name in ("short", "long", "ever")] == [3_600.0, 7_200.0, 0.0]
        assert isinstance(lash.store, RetainedBackend)
        at = (await stored(lash, "ever")).updated_at
        await lash.store.expire(now=at + HOUR // 2)
        assert [each.session_id async for each in lash.sessions()] == ["ever", "long", "short"]
        await lash.store.expire(now=at + HOUR + HOUR // 2)
        assert [each.session_id async for each in lash.sessions()] == ["ever", "long"]
        with pytest.raises(SessionMissing):
            await lash.session("short", create=False)
    async with Lash.open(url) as lash:
        await (await lash.session("short")).turn("another life")
        assert (await stored(lash, "short")).ttl == 0.0


async def test_an_open_session_is_given_another_time_to_live_with_its_next_commit(url: str) -> None:
    async with Lash.open(url) as lash:
        chat = await lash.session("s", ttl=60)
        await chat.turn("hello")
        with pytest.raises(PolicyError, match="ttl cannot be 'long'"):
            await lash.session("s", ttl="long")  # type: ignore[arg-type]  # what an untyped caller may hand over
        assert await lash.session("s", ttl=90) is chat
        await chat.turn("hello")
        assert (await stored(lash, "s")).ttl == 90.0


async def test_another_time_to_live_rides_the_next_commit_and_none_keeps_it(url: str) -> None:
    async with Lash.open(url) as lash:
        await (await lash.session("s", ttl=60)).turn("hello")
    async with Lash.open(url) as lash:
        await (await lash.session("s")).turn("hello")
        assert (await stored(lash, "s")).ttl == 60.0
    async with Lash.open(url) as lash:
        chat = await lash.session("s", ttl=0)
        assert (await stored(lash, "s")).ttl == 60.0
        await chat.turn("hello")
        assert (await stored(lash, "s")).ttl == 0.0
        assert chat.head == await stored(lash, "s")


@pytest.mark.parametrize("ttl", [-1.0, float("nan"), float("inf"), 1e300])
async def test_a_time_to_live_that_cannot_be_is_refused(url: str, ttl: float) -> None:
    async with Lash.open(url) as lash:
        with pytest.raises(PolicyError, match="ttl cannot be"):
            await lash.session("s", ttl=ttl)


@pytest.mark.parametrize("make", [lambda path: f"sqlite:///{path}/agents.db", lambda path: "memory:"])
async def test_tenants_of_a_database_see_nothing_of_each_other(tmp_path: Path, make: Callable[[Path], str]) -> None:
    url = make(tmp_path)
    if url == "memory:":
        async with Lash.open(url, tenant="acme") as lash:
            assert lash.store.name != "memory:"
            await (await lash.session("s")).turn("hello")
        return
    for tenant in ("acme", "umbrella", ""):
        async with Lash.open(url, tenant=tenant) as lash:
            assert [each.session_id async for each in lash.sessions()] == []
            session: Any = await lash.session("s", create=True)
            await session.turn(f"of {tenant}")
    async with Lash.open(url, tenant="acme") as lash:
        session = await lash.session("s", create=False)
        assert (await session.messages())[0].text == "of acme"
        await lash.delete("s")
    async with Lash.open(url, tenant="umbrella") as lash:
        assert [each.session_id async for each in lash.sessions()] == ["s"]


async def test_a_tenant_of_a_store_that_keeps_none_apart_is_refused(tmp_path: Path, one_tenant_plugins: Any) -> None:
    with pytest.raises(ConfigurationError, match="keeps no tenants apart, so there is no tenant 'acme' in it"):
        async with Lash.open("single:", tenant="acme", plugins=one_tenant_plugins):
            pass


@pytest.fixture
def one_tenant_plugins() -> Any:
    """Plugins with a store that knows of no tenants and no retention."""
    from hook_kinds import plugin
    from lash_core.stores.memory import MemoryBackend
    from lash_hookspecs.markers import implements
    from lash_hookspecs.protocols.stores import StoreBackend
    from lash_hookspecs.specs.offers import OfferContext, StoreOffer, lash_offer_stores
    from script_files import plugins

    class Single:
        """Hides all of a store but what every store has."""

        def __init__(self) -> None:
            whole = MemoryBackend()
            for name in ("session", "sessions", "stats", "migrate", "close"):
                setattr(self, name, getattr(whole, name))
            self.name, self.capabilities = "single:", whole.capabilities

    async def opened(url: str, create: bool) -> StoreBackend:
        return Single()  # type: ignore[return-value]  # its methods are set on it

    @implements(lash_offer_stores)
    def stores(context: OfferContext) -> list[StoreOffer]:
        return [StoreOffer(schemes=("single",), open=opened)]

    return plugins(plugin("single", stores))
