"""The conformance kit: a pytest plugin that proves each clause of the contract at what a plugin brings.

Importing this package loads neither pytest nor a suite; the names below do when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lash_conformance.hosting.suite import HostConformance
    from lash_conformance.place import ManualClock, Place, Server
    from lash_conformance.proxy import CuttingProxy
    from lash_conformance.scripts import Script, spoken
    from lash_conformance.suite import StoreConformance
    from lash_conformance.suites.modes import ModeConformance
    from lash_conformance.suites.providers import Failure, ProviderConformance
    from lash_conformance.suites.session_plugins import SessionPluginConformance
    from lash_conformance.suites.tools import ToolConformance

__all__ = [
    "CuttingProxy",
    "Failure",
    "HostConformance",
    "ManualClock",
    "ModeConformance",
    "Place",
    "ProviderConformance",
    "Script",
    "Server",
    "SessionPluginConformance",
    "StoreConformance",
    "ToolConformance",
    "__version__",
    "spoken",
]

__version__ = "0.1.0"

_HOMES = {
    "CuttingProxy": "proxy",
    "Failure": "suites.providers",
    "HostConformance": "hosting.suite",
    "ManualClock": "place",
    "ModeConformance": "suites.modes",
    "Place": "place",
    "ProviderConformance": "suites.providers",
    "Script": "scripts",
    "Server": "place",
    "SessionPluginConformance": "suites.session_plugins",
    "StoreConformance": "suite",
    "ToolConformance": "suites.tools",
    "spoken": "scripts",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
