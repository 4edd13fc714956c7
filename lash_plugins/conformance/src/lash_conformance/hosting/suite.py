"""`HostConformance`: what an author of a host derives a test class from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lash_hookspecs.protocols.hosts import Host

from lash_conformance.hosting.clauses import HostClauses
from lash_conformance.hosting.world import HostWorld
from lash_conformance.place import Opener
from lash_conformance.subject import Suite

__all__ = ["HostConformance"]


class HostConformance(HostClauses, Suite):
    """Every clause of the contract that can be proved at a host, as tests.

    It runs turns in the core, on a SQLite store, with a scripted model: install ``lash-conformance[hosts]``. Derive
    from it, in a test module, and say how the host is made::

        class TestMyHost(HostConformance):
            build_host = staticmethod(build_my_host)

    Attributes:
        build_host: ``() -> Host``, a function or class of a module: another process imports it too.
    """

    build_host: ClassVar[Callable[[], Host]]
    lash_kind = "host"
    lash_requires = ("build_host",)

    @classmethod
    def lash_told(cls) -> dict[str, Any]:
        """Give the name of what makes it."""
        return {"built_by": cls._opener().address["name"]}

    @classmethod
    def _opener(cls) -> Opener:
        function = inspect.getattr_static(cls, "build_host")
        return Opener(function.__func__ if isinstance(function, staticmethod) else function)

    @pytest.fixture
    def find_host(self) -> dict[str, str]:
        """Where another process finds what makes the host."""
        return self._opener().address

    @pytest.fixture
    def world(self, request: pytest.FixtureRequest, tmp_path: Path) -> HostWorld:
        """A folder with a store for this test alone."""
        return HostWorld(tmp_path, self._opener().function, request.config.getoption("lash_patience"))  # type: ignore[arg-type]  # an opener of a host
