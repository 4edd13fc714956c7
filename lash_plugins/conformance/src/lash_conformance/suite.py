"""`StoreConformance`: what an author derives a test class from."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, ClassVar, Literal

import attrs
import pytest
import pytest_asyncio
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import StoreCapabilities

from lash_conformance.build import Author, ident
from lash_conformance.clauses import Clause
from lash_conformance.place import ManualClock, Opener, OpenStore, Place, Server, address_fields
from lash_conformance.processes import Nursery
from lash_conformance.subject import Suite
from lash_conformance.suites.blobs import BlobClauses
from lash_conformance.suites.cancels import CancelClauses
from lash_conformance.suites.commits import CommitClauses
from lash_conformance.suites.crashes import CrashClauses
from lash_conformance.suites.deletion import DeletionClauses
from lash_conformance.suites.files import FileClauses, UnreadableClauses
from lash_conformance.suites.forks import ForkClauses, UnsharedClauses
from lash_conformance.suites.hostile import HostileClauses
from lash_conformance.suites.interleaving import InterleavingClauses
from lash_conformance.suites.leases import LeaseClauses
from lash_conformance.suites.levels import LevelClauses
from lash_conformance.suites.listings import ListingClauses
from lash_conformance.suites.migrations import MigrationClauses
from lash_conformance.suites.races import ContentionClauses, RaceClauses
from lash_conformance.suites.reads import ReadClauses
from lash_conformance.suites.retention import RetentionClauses
from lash_conformance.suites.sequences import SequenceClauses
from lash_conformance.suites.servers import ServerClauses
from lash_conformance.suites.streams import StreamClauses
from lash_conformance.suites.tenants import TenantClauses

__all__ = ["StoreConformance"]


class StoreConformance(
    LevelClauses,
    CommitClauses,
    ReadClauses,
    BlobClauses,
    DeletionClauses,
    StreamClauses,
    ListingClauses,
    HostileClauses,
    LeaseClauses,
    ForkClauses,
    UnsharedClauses,
    TenantClauses,
    SequenceClauses,
    CancelClauses,
    RaceClauses,
    ContentionClauses,
    CrashClauses,
    ServerClauses,
    FileClauses,
    UnreadableClauses,
    RetentionClauses,
    InterleavingClauses,
    MigrationClauses,
    Suite,
):
    """Every clause of the contract that can be proved at a store, as tests.

    Derive from it, in a test module, and say what the store claims and how it is opened::

        class TestMyStore(StoreConformance):
            levels = ("core", "concurrent")
            durability = "host"
            store_url = "mystore:{folder}/sessions"
            open_store = staticmethod(open_my_store)

    What the kit cannot do to any store by itself it calls a method for, a seam; a clause whose seam is not overridden
    is reported as not run. ``place.url`` is the URL of the test's own store, ``place.fields`` what was put into it::

        async def damage(self, place: Place) -> None
            Make what is stored of the session ``chat`` unreadable, behind the store's back.
        def blocked(self, place: Place) -> AbstractContextManager[object]
            Hold whatever a writer waits for from entering to leaving; no coroutine, and entered with ``with``.
        async def let_pass(self, place: Place, backend: StoreBackend, seconds: float) -> None
            Let time pass for level ``retention``, in a store that takes no ``clock``.
        async def make_old(self, place: Place) -> None
            Lay down a store of the oldest version, with a session ``chat`` that has nodes; it is not there yet.
        async def migrate(self, place: Place) -> None
            Bring that store to this version; by default it is opened, and `migrate` called.
        async def make_newer(self, place: Place) -> None
            Make the store that is there, and closed, one of a later version that this one cannot read.

    Attributes:
        levels: The levels that the store claims (S15). A clause of another level is not run; a store that declares
            other levels than these fails.
        durability: The grade that the store claims.
        store_url: The store's URL. Each test has a store of its own: ``{folder}`` is an empty folder, ``{name}`` a
            word that no other test has. With ``server_fixture`` also ``{host}`` and ``{port}``, or ``{socket}`` and
            ``{socket_folder}``, of the server or of the proxy that cuts its connections.
        open_store: ``async (url, create) -> backend``, a function of a module, as a plugin offers it. Two further
            keywords are seams: ``clock`` (seconds; judges when leases expire) and ``crash_point`` (called by the
            store with a word for each step of a write).
        tenants: Whether the store claims to keep tenants apart.
        processes: Whether several processes may have the store open at once.
        server_fixture: The name of a pytest fixture that gives a `lash_conformance.Server`.
        impatient_url: A URL like ``store_url`` with which contention is waited out for a moment only.
        small_limits_url: A URL like ``store_url`` of a store that declares a small ``max_value``.
    """

    levels: ClassVar[Collection[str]]
    durability: ClassVar[Literal["none", "process", "host", "quorum"]] = "none"
    store_url: ClassVar[str]
    open_store: ClassVar[OpenStore]
    tenants: ClassVar[bool] = False
    processes: ClassVar[bool] = True
    server_fixture: ClassVar[str | None] = None
    lash_kind = "store"
    lash_requires = ("levels", "store_url", "open_store")
    _told: ClassVar[tuple[dict[str, str | None], dict[str, str | None]]]

    @classmethod
    def lash_told(cls) -> dict[str, Any]:
        """Give the URL and what is claimed."""
        claimed = {"levels": sorted(cls.levels), "durability": cls.durability, "tenants": cls.tenants}
        return {"url": cls.store_url, "claimed": claimed}

    @classmethod
    def lash_title(cls) -> str:
        """Say the URL and what is claimed."""
        tenants = "; tenants" if cls.tenants else ""
        return f"({cls.store_url}) claims {', '.join(sorted(cls.levels))}; durability {cls.durability}{tenants}"

    @classmethod
    def lash_opener(cls) -> Opener:
        """Give the function that opens the store."""
        function = inspect.getattr_static(cls, "open_store")
        return Opener(function.__func__ if isinstance(function, staticmethod) else function)

    @classmethod
    def lash_not_run(cls, clause: Clause) -> str | None:
        """Say why a test of a clause is left out for this store; ``None`` when it is run."""
        if "_told" not in vars(cls):
            cls._told = _exemptions(cls), _lacks(cls)
        exemptions, lacks = cls._told
        if reason := _first(exemptions, clause):
            return f"does not apply: {reason}"
        if clause.level not in {*cls.levels, *(["durable"] if cls.durability != "none" else [])}:
            return f"not run: level {clause.level} not declared"
        reason = _first(lacks, clause)
        return f"not run: {reason}" if reason else None

    @pytest.fixture
    def store_name(self) -> str:
        """What ``{name}`` stands for; override it where a name has to be prepared, such as a database."""
        return f"lash_{ident()}"

    @pytest.fixture
    def server(self, request: pytest.FixtureRequest) -> Server | None:
        """The server that the store keeps its data on, if it has one."""
        if self.server_fixture is None:
            return None
        server: Server = request.getfixturevalue(self.server_fixture)
        return server

    @pytest.fixture
    def clock(self) -> ManualClock | None:
        """The clock that the store is given, if it takes one."""
        return ManualClock() if "clock" in self.lash_opener().seams else None

    @pytest.fixture
    def nursery(self, lash_nurseries: dict[Opener, Nursery]) -> Nursery:
        """Where processes that work on the store come from; one that has imported it serves all tests."""
        opener = self.lash_opener()
        if opener not in lash_nurseries:
            lash_nurseries[opener] = Nursery(opener)
        return lash_nurseries[opener]

    @pytest_asyncio.fixture
    async def place(
        self,
        request: pytest.FixtureRequest,
        store_name: str,
        server: Server | None,
        clock: ManualClock | None,
    ) -> AsyncIterator[Place]:
        """A store for this test alone; whatever was opened is closed."""
        # A folder costs more than some stores do: it is made where it is asked for.
        folder = str(request.getfixturevalue("tmp_path")) if "{folder}" in self.store_url else ""
        fields = {"folder": folder, "name": store_name, **(address_fields(server.address) if server else {})}
        place = Place(
            template=self.store_url,
            fields=fields,
            opener=self.lash_opener(),
            clock=clock,
            patience=request.config.getoption("lash_patience"),
            effort=request.config.getoption("lash_effort"),
        )
        yield place
        await place.close()

    @pytest_asyncio.fixture
    async def backend(self, place: Place, record_property: Callable[[str, Any], None]) -> StoreBackend:
        """The store, open and empty."""
        backend = await place.open()
        capabilities = backend.capabilities
        record_property("lash_declared", {"levels": sorted(capabilities.levels), **_plain(capabilities)})
        return backend

    @pytest.fixture
    def author(self, backend: StoreBackend) -> Author:
        """Somebody who writes the session ``chat``."""
        return Author(backend)


def _first(reasons: dict[str, str | None], clause: Clause) -> str | None:
    return next((reason for need in clause.needs if (reason := reasons.get(need))), None)


def _exemptions(suite: type[StoreConformance]) -> dict[str, str | None]:
    return {
        "folder": None if "{folder}" in suite.store_url else "the store keeps nothing in a folder",
        "server": None if suite.server_fixture or "{folder}" not in suite.store_url else "the store has no server",
        "unshared": None if "sharing" not in suite.levels else "level sharing is declared",
    }


def _lacks(suite: type[StoreConformance]) -> dict[str, str | None]:
    """Tell, for each need of a clause, why it is not met."""
    seams = suite.lash_opener().seams
    is_met = {
        "blocked": suite.blocked is not StoreConformance.blocked,
        "clock": "clock" in seams,
        "crash_point": "crash_point" in seams,
        "damage": suite.damage is not StoreConformance.damage,
        "durable": suite.durability != "none",
        "impatient_url": suite.impatient_url is not None,
        "leases": "concurrent" in suite.levels,
        "make_newer": suite.make_newer is not StoreConformance.make_newer,
        "make_old": suite.make_old is not StoreConformance.make_old,
        "processes": suite.processes,
        "server": suite.server_fixture is not None,
        "sharing": "sharing" in suite.levels,
        "small_limits_url": suite.small_limits_url is not None,
        "tenants": suite.tenants,
        "time": "clock" in seams or suite.let_pass is not StoreConformance.let_pass,
    }
    reasons = {
        "blocked": "no blocked()",
        "clock": "open_store takes no clock",
        "crash_point": "open_store takes no crash_point",
        "damage": "no damage()",
        "durable": "durability 'none' declared",
        "impatient_url": "no impatient_url",
        "leases": "level concurrent not declared",
        "make_newer": "no make_newer()",
        "make_old": "no make_old()",
        "processes": "one process at a time declared",
        "server": "no server_fixture",
        "sharing": "level sharing not declared",
        "small_limits_url": "no small_limits_url",
        "tenants": "tenants not declared",
        "time": "open_store takes no clock, and there is no let_pass()",
    }
    return {need: None if is_met[need] else reason for need, reason in reasons.items()}


def _plain(capabilities: StoreCapabilities) -> dict[str, Any]:
    return attrs.asdict(capabilities, filter=attrs.filters.exclude("levels"))
