"""The hosts of the workspace keep what hosts promise."""

from __future__ import annotations

from lash_conformance import HostConformance
from lash_core.hosts.embedded import EmbeddedHost
from lash_host_subprocess import SubprocessHost


class TestEmbedded(HostConformance):
    build_host = EmbeddedHost


class TestSubprocess(HostConformance):
    build_host = SubprocessHost
