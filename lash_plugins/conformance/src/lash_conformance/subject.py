"""What each suite tells the pytest plugin about what it proves."""

from __future__ import annotations

from typing import Any, ClassVar

from lash_conformance.clauses import Clause

__all__ = ["Suite"]


class Suite:
    """The base of every suite: `pytest` collects the classes that authors derive.

    Attributes:
        lash_kind: What it is for; one of `lash_conformance.clauses.KINDS`.
        lash_requires: The attributes that an author has to set.
    """

    lash_kind: ClassVar[str]
    lash_requires: ClassVar[tuple[str, ...]]

    @classmethod
    def lash_told(cls) -> dict[str, Any]:
        """Give what the author says of it, for the report: JSON."""
        return {}

    @classmethod
    def lash_title(cls) -> str:
        """Say behind the name of the class what it is, for the summary."""
        return f"is a {cls.lash_kind}"

    @classmethod
    def lash_not_run(cls, clause: Clause) -> str | None:
        """Say why a test of a clause is left out; ``None`` when it is run.

        A reason begins with ``not run: `` or, when there is nothing to prove, with ``does not apply: ``.
        """
        return None

    @classmethod
    def lash_overrides(cls, name: str) -> bool:
        """Tell whether the author has set an attribute, or replaced a method of the suite."""
        home = next(each for each in cls.__mro__ if name in vars(each))
        return not home.__module__.startswith("lash_conformance.")
