"""Where a store under test is, and how it is opened: here, once more, and in another process."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import attrs
from lash_hookspecs.protocols.stores import StoreBackend

__all__ = ["ManualClock", "OpenStore", "Opener", "Place", "Server", "address_fields"]

#: ``async (url, create) -> backend``, as in `lash_hookspecs.specs.offers.StoreOffer`; further keywords are seams.
OpenStore = Callable[..., Awaitable[StoreBackend]]


@runtime_checkable
class Server(Protocol):
    """The server that a store keeps its data on, as far as the kit has to know it. Its methods may block."""

    @property
    def address(self) -> tuple[str, int] | Path:
        """Where it listens: host and port, or a Unix socket."""
        ...

    def kill(self) -> None:
        """Kill it with SIGKILL; return when it is gone."""
        ...

    def restart(self) -> None:
        """Start it on what it has stored; return when it takes connections at its address."""
        ...


@attrs.define
class ManualClock:
    """Seconds that pass when a test says so."""

    now: float = 1_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@attrs.frozen
class Opener:
    """The function that opens the store, and where another process finds it."""

    function: OpenStore

    @property
    def seams(self) -> frozenset[str]:
        """The keywords that the kit may give: ``clock``, ``crash_point``."""
        return frozenset(inspect.signature(self.function).parameters) & {"clock", "crash_point"}

    @property
    def address(self) -> dict[str, str]:
        """Module, file and name, for `find`.

        Raises:
            TypeError: It is no function of a module, so no other process can import it.
        """
        name = getattr(self.function, "__qualname__", "<")
        module = sys.modules.get(getattr(self.function, "__module__", ""))
        if "<" in name or module is None:
            raise TypeError(f"open_store must be a function of a module, not {self.function!r}")
        return {"module": module.__name__, "file": getattr(module, "__file__", None) or "", "name": name}

    @staticmethod
    def find(module: str, file: str, name: str) -> Opener:
        """Import what `address` told, by name or else by file."""
        try:
            found = importlib.import_module(module)
        except ImportError:
            spec = importlib.util.spec_from_file_location(module, file)
            if spec is None or spec.loader is None:
                raise
            found = sys.modules[module] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(found)
        target: Any = found
        for part in name.split("."):
            target = getattr(target, part)
        return Opener(target)


@attrs.define
class Place:
    """A store that a test has for itself.

    Attributes:
        template: The store's URL with placeholders.
        fields: What stands for the placeholders.
        opener: How it is opened.
        clock: The clock that it is given; ``None`` when it goes by one of its own.
        patience: Seconds after which something that should have happened is given up.
        effort: By how much the numbers of attempts are multiplied.
    """

    template: str
    fields: Mapping[str, str]
    opener: Opener
    clock: ManualClock | None = None
    patience: float = 30.0
    effort: int = 1
    opened: list[StoreBackend] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        """The store's URL."""
        return self.url_with()

    def url_with(self, template: str | None = None, **fields: str) -> str:
        """Give the URL with other words in it; single braces that are no placeholder stay."""
        url = self.template if template is None else template
        for name, value in {**self.fields, **fields}.items():
            url = url.replace(f"{{{name}}}", value)
        return url

    async def open(self, url: str | None = None, *, create: bool = True, **seams: Any) -> StoreBackend:
        """Open the store; it is closed when the test has ended."""
        if self.clock is not None:
            seams.setdefault("clock", self.clock)
        backend = await self.opener.function(self.url if url is None else url, create, **seams)
        self.opened.append(backend)
        return backend

    async def reopen(self) -> StoreBackend:
        """Close whatever is open and open the store again."""
        await self.close()
        return await self.open(create=False)

    async def close(self) -> None:
        """Close whatever is open."""
        while self.opened:
            await self.opened.pop().close()


def address_fields(address: tuple[str, int] | Path) -> dict[str, str]:
    """Give what stands for the placeholders of a server's address."""
    if isinstance(address, Path):
        return {"socket": str(address), "socket_folder": str(address.parent)}
    return {"host": address[0], "port": str(address[1])}
