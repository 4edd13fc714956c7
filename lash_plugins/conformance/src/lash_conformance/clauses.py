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

#: Of an execution mode.
MODE_CLAUSES: dict[str, tuple[str, str]] = {
    "P11.name": ("name", "a mode has a name that the command line takes, and a version"),
    "P11.shape": ("shape", "a step appends what it has to say, then asks for exactly one thing"),
    "P11.pure": ("pure", "the same state and event give the same step"),
    "P11.unchanged": ("unchanged", "a step changes nothing of what it was given"),
    "P11.json": ("json", "states are JSON"),
    "P11.unknown": ("unknown", "what a mode does not know it refuses with a typed error"),
    "P11.extras": ("extras", "a mode's own tools and prompt are the same each time"),
    "T1.replay": ("replay", "a turn goes on from any of its states as if nothing had happened"),
    "T1.senses": ("senses", "a step sees no clock, no chance and no disk"),
    "T2.results": ("results", "a call that failed is a result that the turn goes on from"),
    "T6.calls": ("calls", "a call that is recorded is run, and one that is run is recorded or says so"),
    "T10.inputs": ("inputs", "a message that arrives at a boundary keeps the turn going"),
    "T12.ends": ("ends", "a turn ends, in an outcome that says why where it did not finish"),
    "L5.restore": ("restore", "session states of older versions are brought up to this one"),
}

#: Of a model provider.
PROVIDER_CLAUSES: dict[str, tuple[str, str]] = {
    "T5.stream": ("stream", "chunks come as the model says them, then one reply that holds all of them"),
    "T8.usage": ("usage", "a reply says what the call cost"),
    "T2.calls": ("calls", "calls have ids of their own, names and arguments, and their results are taken back"),
    "T5.requests": ("requests", "a request is left as it was and told whole"),
    "T7.failures": ("failures", "what fails is a ModelError that says whether a retry may help"),
    "T3.cancel": ("cancel", "a call can be cancelled at every await, and the next one is answered"),
    "L3.info": ("info", "what is known of a model is told without asking it, and a wrong name is refused"),
    "L12.close": ("close", "closing twice is closing once"),
    "L13.secrets": ("secrets", "no error and no repr holds a secret"),
    "T5.files": ("files", "files are taken as declared"),
    "P12.shared": ("shared", "one object serves many sessions at once"),
}

#: Of a provider of tools.
TOOL_CLAUSES: dict[str, tuple[str, str]] = {
    "T2.specs": ("specs", "tools are listed with names, kinds and schemas that are JSON schema"),
    "P12.stable": ("stable", "a session's tools are listed alike each time, and calls leave the list alone"),
    "T2.results": ("results", "a call gives what a model can be told"),
    "T2.arguments": ("arguments", "wrong arguments are told to the model as an error, never answered"),
    "T2.errors": ("errors", "what fails is an exception with words for the model"),
    "T3.read_only": ("read_only", "a tool that says read_only changes nothing"),
    "T3.idempotent": ("idempotent", "a call that is made again under its key does nothing more"),
    "T3.parallel": ("parallel", "calls run together and do not mix up"),
    "T3.cancel": ("cancel", "a call that is cancelled ends, and the next one is answered"),
    "T2.dynamic": ("dynamic", "tools that are looked up by name are found by their exact name"),
    "L13.secrets": ("secrets", "no error and no spec holds a secret"),
}

#: Of a session plugin.
SESSION_PLUGIN_CLAUSES: dict[str, tuple[str, str]] = {
    "P10.version": ("version", "a schema version is a number from 1"),
    "P10.json": ("json", "a snapshot is JSON"),
    "P10.quick": ("quick", "a snapshot is given at once, and changes nothing"),
    "P10.stable": ("stable", "a snapshot is the same until something changed, and stays as it was given"),
    "P10.restore": ("restore", "what a snapshot kept is there after a restore"),
    "P10.fresh": ("fresh", "a part of which nothing is kept begins"),
    "P10.older": ("older", "snapshots of older schema versions are brought up to this one"),
    "P12.own": ("own", "the parts of two sessions know nothing of each other"),
    "L12.close": ("close", "closing twice is closing once, restored or not"),
    "P6.handlers": ("handlers", "each handler has the colour and the argument of its hook"),
    "P7.answers": ("answers", "each handler answers a plain context with what its hook takes"),
}

#: Of a host.
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
    "mode": Kind("modes", MODE_CLAUSES),
    "provider": Kind("providers", PROVIDER_CLAUSES),
    "tools": Kind("tools", TOOL_CLAUSES),
    "session plugin": Kind("session_plugins", SESSION_PLUGIN_CLAUSES),
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
