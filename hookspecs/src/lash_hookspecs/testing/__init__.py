"""For tests of plugins: contexts to call a hook with, and fakes of what a plugin meets.

Nothing of Lash imports it; a plugin's tests need no other distribution than this one.
"""

from __future__ import annotations

from lash_hookspecs.testing.contexts import context_for
from lash_hookspecs.testing.session import Emitted, FakeChild, FakeSession, Traced

__all__ = ["Emitted", "FakeChild", "FakeSession", "Traced", "context_for"]
