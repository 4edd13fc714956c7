"""For tests of plugins: contexts to call a hook with, a recorder of hook calls, and a fake of each protocol.

Nothing of Lash imports it; a plugin's tests need no other distribution than this one.
"""

from __future__ import annotations

from lash_hookspecs.testing.contexts import context_for
from lash_hookspecs.testing.models import FakeModel
from lash_hookspecs.testing.modes import FakeMode
from lash_hookspecs.testing.places import FakeAttachments, FakeHost, FakeRunner, FakeSessionPlugin, FakeSink
from lash_hookspecs.testing.recorder import HookCall, HookRecorder
from lash_hookspecs.testing.session import Emitted, FakeChild, FakeSession, Traced
from lash_hookspecs.testing.stores import FakeSessionStore, FakeStore
from lash_hookspecs.testing.tasks import FakeSubscription, FakeTaskHost, FakeTasks
from lash_hookspecs.testing.tools import FakeTools

__all__ = [
    "Emitted",
    "FakeAttachments",
    "FakeChild",
    "FakeHost",
    "FakeMode",
    "FakeModel",
    "FakeRunner",
    "FakeSession",
    "FakeSessionPlugin",
    "FakeSessionStore",
    "FakeSink",
    "FakeStore",
    "FakeSubscription",
    "FakeTaskHost",
    "FakeTasks",
    "FakeTools",
    "HookCall",
    "HookRecorder",
    "Traced",
    "context_for",
]
