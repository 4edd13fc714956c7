"""Session plugins that differ from a sound one by a few lines, each breaking one clause."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, ClassVar

from lash_conformance import SessionPluginConformance
from lash_hookspecs import handles
from lash_hookspecs.specs.decisions import ALLOW
from lash_hookspecs.specs.offers import SessionSetup
from lash_hookspecs.specs.persistence import lash_guard_commit, lash_on_committed
from lash_hookspecs.specs.turns import lash_before_turn

#: The name of each test class → the clause that its part breaks; "" for none.
BREAKS: dict[str, str] = {}


def breaks(clause: str) -> Any:
    """Make a test class for a part, and say which clause it breaks."""

    def register(part: type[PlainPart]) -> type[PlainPart]:
        name = f"Test{part.__name__}"
        BREAKS[name] = clause
        globals()[name] = type(name, (_Plain,), {"__module__": __name__, "build_part": part})
        return part

    return register


class _Plain(SessionPluginConformance):
    old_snapshots = ((1, 3),)

    async def use(self, part: Any) -> None:
        part.spend(2)


class PlainPart:
    """Keeps what was spent, each time."""

    def __init__(self, setup: SessionSetup) -> None:
        self.root = setup.root
        self.spent: list[Any] = []

    @property
    def schema_version(self) -> int:
        return 2

    def spend(self, amount: int) -> None:
        self.spent.append(amount)

    def snapshot(self) -> Any:
        return {"spent": list(self.spent)} if self.spent else None

    async def restore(self, schema_version: int, snapshot: Any) -> None:
        if schema_version == 1:
            self.spent = [snapshot]
        elif snapshot is not None:
            self.spent = list(snapshot["spent"])

    async def close(self) -> None:
        self.root = Path()

    @handles(lash_guard_commit)
    async def allow(self, context: Any) -> Any:
        return ALLOW

    @handles(lash_on_committed)
    async def heard(self, context: Any) -> None:
        self.last = context.revision


@breaks("")
class SoundPart(PlainPart): ...


@breaks("P10.version")
class IsOfNoVersion(PlainPart):
    schema_version = "2"  # type: ignore[assignment]


@breaks("P10.json")
class KeepsNoJson(PlainPart):
    def snapshot(self) -> Any:
        return {"spent": list(self.spent), "more": ()} if self.spent else None


@breaks("P10.quick")
class ReadsAFile(PlainPart):
    def snapshot(self) -> Any:
        Path(__file__).stat()
        return super().snapshot()


@breaks("P10.stable")
class GivesWhatItWorksWith(PlainPart):
    def snapshot(self) -> Any:
        return {"spent": self.spent} if self.spent else None


@breaks("P10.stable")
class ForgetsWhatItGave(PlainPart):
    numbers: ClassVar = itertools.count()

    def snapshot(self) -> Any:
        told = {"spent": list(self.spent)} if self.spent else None
        if len(self.spent) == 1:
            self.spent = [1.0 + next(self.numbers)]
        return told

    async def restore(self, schema_version: int, snapshot: Any) -> None:
        await super().restore(schema_version, snapshot)


@breaks("P10.restore")
class RestoresNothing(PlainPart):
    async def restore(self, schema_version: int, snapshot: Any) -> None:
        if schema_version == 1 or (snapshot and snapshot["spent"] == [3]):
            self.spent = [3]


@breaks("P10.fresh")
class BeginsAnywhere(PlainPart):
    made: ClassVar = itertools.count()

    def __init__(self, setup: SessionSetup) -> None:
        super().__init__(setup)
        self.number = next(self.made)

    def snapshot(self) -> Any:
        return super().snapshot() or {"spent": [], "number": self.number}

    async def restore(self, schema_version: int, snapshot: Any) -> None:
        await super().restore(schema_version, snapshot)
        if schema_version == 2:
            self.number = snapshot.get("number", self.number)


@breaks("P10.older")
class LosesWhatWasOlder(PlainPart):
    async def restore(self, schema_version: int, snapshot: Any) -> None:
        if schema_version == 2:
            await super().restore(schema_version, snapshot)


@breaks("P12.own")
class CountsForAllSessions(PlainPart):
    total: ClassVar = [0]

    def spend(self, amount: int) -> None:
        super().spend(amount)
        self.total[0] += amount

    def snapshot(self) -> Any:
        return {"spent": list(self.spent), "total": self.total[0]}


@breaks("L12.close")
class ClosesOnce(PlainPart):
    async def close(self) -> None:
        del self.root


async def _heard_of(self: Any, committed: Any) -> None:
    self.last = committed.revision


@breaks("P6.handlers")
class HandlesWithAnotherArgument(PlainPart):
    heard = handles(lash_on_committed)(_heard_of)  # type: ignore[arg-type]


@breaks("P7.answers")
class AnswersNoDecision(PlainPart):
    @handles(lash_guard_commit)
    async def allow(self, context: Any) -> Any:
        return True


@breaks("P7.answers")
class ExpectsMoreThanThereIs(PlainPart):
    @handles(lash_before_turn)
    async def add(self, context: Any) -> Any:
        return context.additions.adding(context.additions.messages[0])
