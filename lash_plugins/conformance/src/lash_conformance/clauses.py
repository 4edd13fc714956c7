"""The clauses that can be proved at each kind of thing, and what a test of one needs to be run."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import attrs
import pytest

__all__ = ["CLAUSES", "KINDS", "Clause", "Clauses", "Kind", "clause_of", "needs"]

T = TypeVar("T", bound=Callable[..., Any])

#: Of a store: number → what the names of its tests call it, and its sentence in short.
CLAUSES: dict[str, tuple[str, str]] = {
    "S1": ("one_session", "a backend is a database, a handle is one session, and a listing is cheap"),
    "S2": ("atomic", "one commit is seen whole or not at all"),
    "S3": ("compare_and_swap", "a commit at another revision than the stored one is refused"),
    "S4": ("replay", "a commit that is sent again returns its first receipt"),
    "S5": ("fencing", "a writer of an older epoch is refused, and told by whom"),
    "S6": ("blobs", "blobs are named by their content, and a missing one is said"),
    "S7": ("reads", "reads give what is asked for, and parent edges are the truth"),
    "S8": ("retention", "what is deleted stays dead, and what is in use stays"),
    "S9": ("unreadable", "what cannot be read is an error and never no session"),
    "S10": ("migration", "an older schema is brought forward, a newer one is refused"),
    "S11": ("hostile", "values are only values, and limits are kept"),
    "S12": ("forks", "a fork shares the graph, or is refused"),
    "S13": ("contention", "contention is waited out or told; no driver's error reaches a caller"),
    "S14": ("streams", "streams are sequenced, idempotent by key, and used up by commits"),
    "S15": ("levels", "the store is what it declares"),
    "G2": ("payloads", "ids and payloads come back as they were"),
    "G3": ("leaf", "an unset or dangling leaf is reported and not healed"),
    "G4": ("corrupt", "a dangling parent and a cycle are named"),
    "G5": ("node_ids", "a node id is stored once in a graph"),
    "ALL": ("model", "any sequence of calls is answered as the contract says"),
    "L14": ("open_turns", "sessions with an open turn are listed without loading them"),
}

#: Of a host, likewise.
HOST_CLAUSES: dict[str, tuple[str, str]] = {
    "H1": ("declared", "a host is what it declares, and what it lacks is said when a session opens"),
    "H5.runs": ("runs", "a turn is run to its end, through the runner"),
    "H5.once": ("once", "each effect is run once"),
    "H5.left": ("left", "a run that is given up leaves the turn interrupted"),
    "H5.together": ("together", "sessions do not wait for each other"),
    "H5.close": ("close", "what a host holds is given back"),
    "H5.says": ("says", "what is printed is no message"),
    "L13": ("errors", "what ends a turn early is a typed error"),
    "T3": ("cancel", "cancellation reaches what runs, and is committed"),
    "T6": ("dies", "a turn whose process died is continued, and nothing is done twice"),
    "T9": ("events", "events come live and in order"),
    "T12": ("limits", "a turn that reaches its limit is stopped"),
}

_NAME = re.compile(r"test_([A-Z]+\d*)_([a-z_]+?)__[a-zA-Z0-9_]+")


@attrs.frozen
class Kind:
    """A kind of thing that there is a suite for.

    Attributes:
        plural: What its part of a report is called.
        clauses: Its clauses, by number, each with the word that its tests have and its sentence in short. A number
            that several of them cite has the word behind it: ``P11.pure``.
    """

    plural: str
    clauses: dict[str, tuple[str, str]]


#: Every kind, by name; a suite says which one it is for.
KINDS: dict[str, Kind] = {
    "store": Kind("stores", CLAUSES),
    "host": Kind("hosts", HOST_CLAUSES),
}


@attrs.frozen
class Clause:
    """What a test of the kit is about.

    Attributes:
        number: The clause, as its kind has it.
        level: The level that it belongs to.
        needs: What the store's author has to supply for it; see `lash_conformance.suite`.
    """

    number: str
    level: str
    needs: tuple[str, ...]


def needs(*what: str) -> Callable[[T], T]:
    """Say what a test needs besides its level."""

    def mark(function: T) -> T:
        function.lash_needs = what  # type: ignore[attr-defined]  # read by the collector
        return function

    return mark


class Clauses:
    """A set of tests of one level; each is named ``test_S3_compare_and_swap__and_then_a_sentence``."""

    level: ClassVar[str]

    def __init_subclass__(cls, *, level: str = "", about: str = "store", **options: Any) -> None:
        """Hold the names to their form, and make each test know its clause."""
        super().__init_subclass__(**options)
        if not level:
            return
        cls.level = level
        for name, function in vars(cls).items():
            if name.startswith("test"):
                function.lash_clause = Clause(_number(name, about), level, getattr(function, "lash_needs", ()))
                if inspect.iscoroutinefunction(function):
                    pytest.mark.asyncio(function)


def clause_of(function: object) -> Clause | None:
    """Give the clause that a test function of the kit is about; ``None`` for anybody else's."""
    found: Clause | None = getattr(function, "lash_clause", None)
    return found


def _number(name: str, about: str) -> str:
    """Find the clause that a test is named after, among those of a kind."""
    clauses, found = KINDS[about].clauses, _NAME.fullmatch(name)
    for number in (found[1], f"{found[1]}.{found[2]}") if found else ():
        if found and clauses.get(number, ("",))[0] == found[2]:
            return number
    raise TypeError(f"{name} is not named after a clause of a {about}; see lash_conformance.clauses")
