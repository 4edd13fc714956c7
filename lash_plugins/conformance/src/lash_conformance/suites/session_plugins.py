"""`SessionPluginConformance`: what holds of a plugin's part of one session (P10, P12)."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lash_conformance.answers import check_answer, check_colour, handlers_of
from lash_conformance.clauses import Clause, Clauses, needs
from lash_conformance.senses import seen_by
from lash_conformance.subject import Suite
from lash_conformance.values import check_json, through_json
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.specs.offers import SessionSetup
from lash_hookspecs.testing import FakeSession, context_for
from pydantic import JsonValue

__all__ = ["SessionPluginConformance"]

#: What a snapshot may do of all that `seen_by` sees: look at the clock.
_ALLOWED = ("time.time", "time.time_ns", "time.monotonic", "time.perf_counter", "datetime.now", "datetime.utcnow")


class SessionPluginConformance(Clauses, Suite, level="core", about="session plugin"):
    """Every clause of the contract that can be proved at a session plugin, as tests.

    Derive from it, in a test module, and say how a part is made and used::

        class TestBudget(SessionPluginConformance):
            build_part = staticmethod(Budget)

            async def use(self, part):
                await part.spend(3)

    Attributes:
        build_part: ``(SessionSetup) -> SessionPlugin``, as a `SessionPluginOffer` has it.
        old_snapshots: Snapshots as older schema versions gave them, each with its version.
        capabilities: What host and store can do where the parts are built.
    """

    build_part: ClassVar[Callable[..., SessionPlugin]]
    old_snapshots: ClassVar[Sequence[tuple[int, JsonValue]]] = ()
    capabilities: ClassVar[frozenset[str]] = frozenset()
    lash_kind = "session plugin"
    lash_requires = ("build_part",)

    @classmethod
    def lash_not_run(cls, clause: Clause) -> str | None:
        """Say why a test of a clause is left out for this part."""
        if "use" in clause.needs and not cls.lash_overrides("use"):
            return "not run: no use()"
        return "not run: no old_snapshots" if "old_snapshots" in clause.needs and not cls.old_snapshots else None

    async def use(self, part: Any) -> None:
        """Change what the part keeps, as a session would: override it, unless the part keeps nothing."""

    def contexts(self, spec: Callable[..., Any], setup: SessionSetup) -> Sequence[Any]:
        """Give contexts that a handler of a hook is called with; a small one by default."""
        fields = {"session": setup.services} if _has_session(spec) else {"session_id": setup.session_id}
        return [context_for(spec, **fields)]

    @pytest.fixture
    def setup(self, tmp_path: Path) -> SessionSetup:
        """What parts are built with."""
        return SessionSetup(
            session_id="chat",
            parent_session_id=None,
            mode="standard",
            root=tmp_path,
            capabilities=self.capabilities,
            services=FakeSession("chat"),
        )

    def test_P10_version__a_schema_version_counts_from_one(self, setup: SessionSetup) -> None:
        part = type(self).build_part(setup)
        assert type(part.schema_version) is int, f"schema_version is {part.schema_version!r}, and must be a number"
        assert part.schema_version >= 1
        assert type(self).build_part(setup).schema_version == part.schema_version
        assert all(1 <= version <= part.schema_version for version, _snapshot in self.old_snapshots)

    async def test_P10_json__a_snapshot_is_json(self, setup: SessionSetup) -> None:
        part = await self._begun(setup)
        check_json(part.snapshot(), "the snapshot of a fresh part")
        await self.use(part)
        check_json(part.snapshot(), "the snapshot of a part that was used")
        await part.close()

    async def test_P10_quick__a_snapshot_waits_for_nothing(self, setup: SessionSetup) -> None:
        part = await self._begun(setup)
        assert not inspect.iscoroutinefunction(part.snapshot), "snapshot() must be a plain method: it returns at once"
        await self.use(part)
        part.snapshot()  # and whatever is imported late is imported now
        seen = [each for each in seen_by(part.snapshot) if not each.startswith(_ALLOWED)]
        assert not seen, f"snapshot() is called at each commit and must return at once; it asks {seen[0]}"
        await part.close()

    async def test_P10_stable__it_is_the_same_until_something_changes(self, setup: SessionSetup) -> None:
        part = await self._begun(setup)
        for _ in range(2):
            first = copy.deepcopy(part.snapshot())
            await asyncio.sleep(0)
            assert part.snapshot() == first, "two snapshots differ, and nothing happened between them"
            await self.use(part)
        await part.close()

    @needs("use")
    async def test_P10_stable__one_that_was_given_stays_as_it_was(self, setup: SessionSetup) -> None:
        part = await self._begun(setup)
        await self.use(part)
        given = part.snapshot()
        before = copy.deepcopy(given)
        await self.use(part)
        assert given == before, "a snapshot that was given has changed with the part: give a copy"
        await part.close()

    async def test_P10_restore__a_restored_part_gives_the_same_snapshot(self, setup: SessionSetup) -> None:
        part = await self._begun(setup)
        await self.use(part)
        kept = part.snapshot()
        await part.close()
        restored = await self._restored(setup, part.schema_version, kept)
        assert restored.snapshot() == kept, "what was kept is not there after a restore"
        await restored.close()

    @needs("use")
    async def test_P10_restore__what_is_used_is_kept(self, setup: SessionSetup) -> None:
        part = await self._begun(setup)
        fresh = copy.deepcopy(part.snapshot())
        await self.use(part)
        kept = part.snapshot()
        assert kept != fresh, "use() has changed nothing that is kept"
        restored = await self._restored(setup, part.schema_version, kept)
        other = await self._restored(setup, part.schema_version, kept)
        await self.use(restored)
        await self.use(other)
        assert restored.snapshot() == other.snapshot(), "two parts restored alike go on otherwise"
        for each in (part, restored, other):
            await each.close()

    async def test_P10_fresh__a_part_of_which_nothing_is_kept_begins(self, setup: SessionSetup) -> None:
        assert inspect.iscoroutinefunction(type(self).build_part(setup).restore), "restore() must be a coroutine"
        one, other = await self._begun(setup), await self._begun(setup)
        assert one.snapshot() == other.snapshot(), "two fresh parts keep something else"
        await one.close()
        await other.close()

    @needs("old_snapshots")
    async def test_P10_older__an_older_snapshot_is_brought_up(self, setup: SessionSetup) -> None:
        for version, stored in self.old_snapshots:
            part = await self._restored(setup, version, stored)
            now = part.snapshot()
            assert now is not None, f"nothing is left of the snapshot of version {version}"
            again = await self._restored(setup, part.schema_version, now)
            assert again.snapshot() == now, f"what was brought up from version {version} does not restore"
            await self.use(again)
            await part.close()
            await again.close()

    @needs("use")
    async def test_P12_own__what_one_part_keeps_no_other_sees(self, setup: SessionSetup) -> None:
        one, other = await self._begun(setup), await self._begun(setup)
        before = copy.deepcopy(other.snapshot())
        await self.use(one)
        assert other.snapshot() == before, "the part of one session has changed that of another"
        await one.close()
        await other.close()

    async def test_L12_close__it_may_be_closed_twice_and_without_a_restore(self, setup: SessionSetup) -> None:
        part = type(self).build_part(setup)
        assert inspect.iscoroutinefunction(part.close), "close() must be a coroutine"
        await part.close()
        await part.close()
        used = await self._begun(setup)
        await self.use(used)
        await used.close()
        await used.close()

    def test_P6_handlers__each_has_the_colour_and_the_argument_of_its_hook(self, setup: SessionSetup) -> None:
        part = type(self).build_part(setup)
        handlers = handlers_of(part)
        for name, spec in handlers.items():
            check_colour(getattr(part, name), spec, name)
        hooks = [spec.__name__ for spec in handlers.values()]
        assert len(hooks) == len(set(hooks)), f"two methods handle one hook: {sorted(hooks)}; merge them"
        if not handlers:
            pytest.skip("does not apply: the part handles no hook")

    async def test_P7_answers__each_handler_takes_a_plain_context(self, setup: SessionSetup) -> None:
        part = await self._begun(setup)
        for name, spec in handlers_of(part).items():
            for context in self.contexts(spec, setup):
                answer = getattr(part, name)(context)
                check_answer(spec, await answer if inspect.isawaitable(answer) else answer, name)
        await part.close()
        if not handlers_of(part):
            pytest.skip("does not apply: the part handles no hook")

    async def _begun(self, setup: SessionSetup) -> SessionPlugin:
        return await self._restored(setup, 0, None)

    async def _restored(self, setup: SessionSetup, version: int, kept: JsonValue) -> SessionPlugin:
        part = type(self).build_part(setup)
        await part.restore(0 if kept is None else version, through_json(kept))
        return part


def _has_session(spec: Callable[..., Any]) -> bool:
    return hasattr(context_for(spec), "session")
