"""The conformance kit for stores: a pytest plugin that proves each clause of the contract at a store.

Importing this package loads neither pytest nor a suite; the names below do when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lash_conformance.hosting.suite import HostConformance
    from lash_conformance.place import ManualClock, Place, Server
    from lash_conformance.proxy import CuttingProxy
    from lash_conformance.suite import StoreConformance

__all__ = ["CuttingProxy", "HostConformance", "ManualClock", "Place", "Server", "StoreConformance", "__version__"]

__version__ = "0.1.0"

_HOMES = {
    "CuttingProxy": "proxy",
    "HostConformance": "hosting.suite",
    "ManualClock": "place",
    "Place": "place",
    "Server": "place",
    "StoreConformance": "suite",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
