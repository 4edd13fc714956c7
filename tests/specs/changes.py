"""What differs between two descriptions of the hook API, and whether a plugin written before notices."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import attrs

from tests.specs.describe import Entry

__all__ = ["GIVEN", "Change", "changes", "next_version"]

#: The protocols that the core implements: plugins call them, so a new method there is in nobody's way.
GIVEN = (
    "protocols.hosts.Handover",
    "protocols.hosts.TurnRunner",
    "protocols.services.ChildSession",
    "protocols.services.SessionServices",
    "protocols.tasks.AttachedTasks",
    "protocols.tasks.SessionTasks",
    "protocols.tasks.TaskContext",
    "protocols.tasks.TaskSubscription",
)

_MEMBERS = ("field", "value", "property", "method", "attribute")


@attrs.frozen
class Change:
    """One line that is not as it was.

    Attributes:
        line: The entry and what is said of it, before and after.
        breaking: Whether a plugin written before may not work any more, or not pass its type checker.
        why: The rule that says so.
    """

    line: str
    breaking: bool
    why: str

    def __str__(self) -> str:
        return f"{'breaking' if self.breaking else 'additive'}: {self.line} ({self.why})"


def changes(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[Change]:
    """Compare two descriptions, entry by entry and line by line."""
    found = [
        Change(f"- {title}", True, f"the {entry.kind} is gone") for title, entry in before.items() if title not in after
    ]
    for title, entry in after.items():
        if title not in before:
            found.append(Change(f"+ {title}", False, f"a new {entry.kind}"))
        else:
            found += _between(before[title], entry)
    return found


def next_version(published: str, found: list[Change]) -> str:
    """Give the lowest version that a contract with these changes may have; before 1.0 each change takes a minor one."""
    major, minor = map(int, published.split("."))
    if not found:
        return published
    if major and any(change.breaking for change in found):
        return f"{major + 1}.0"
    return f"{major}.{minor + 1}"


def _between(before: Entry, after: Entry) -> Iterator[Change]:
    for key, value in before.facts.items():
        if key not in after.facts:
            yield Change(f"{after.title} - {key}: {value}", *_gone(key))
        elif after.facts[key] != value:
            line = f"{after.title} {key}: {value} → {after.facts[key]}"
            yield Change(line, *_changed(key, value, after.facts[key], after))
    for key, value in after.facts.items():
        if key not in before.facts:
            yield Change(f"{after.title} + {key}: {value}", *_new(key, value, after))
    if _by_position(after) and (moved := _moved(before, after)):
        yield Change(f"{after.title} {moved}", True, "its fields are given by position, and their order changed")


def _gone(key: str) -> tuple[bool, str]:
    word = key.split(" ", maxsplit=1)[0]
    return True, f"the {word} is gone" if word in _MEMBERS else "it was said and is not"


def _new(key: str, value: str, entry: Entry) -> tuple[bool, str]:
    word = key.split(" ", maxsplit=1)[0]
    if entry.kind == "protocol" and entry.name not in GIVEN:
        return True, f"who implements the protocol lacks the new {word}"
    if word == "field" and " = " not in value and not value.startswith("ClassVar"):
        return True, "a new field without a default: who makes one must give it"
    if key == "deprecated":
        return False, "it is told to go"
    if word in _MEMBERS:
        return False, f"a new {word}"
    return True, "it was not said before"


def _changed(key: str, before: str, after: str, entry: Entry) -> tuple[bool, str]:
    word = key.split(" ", maxsplit=1)[0]
    if word == "field" and after.startswith(f"{before} = "):
        return False, "a field has a default now"
    if word == "deadline":
        return (_seconds(after) < _seconds(before)), "a deadline changed; a longer one is in nobody's way"
    if key == "deprecated":
        return False, "words about what to use instead"
    is_called = entry.kind != "protocol" or entry.name in GIVEN
    if word in ("signature", "method") and entry.kind != "hook" and is_called and _takes_more(before, after):
        return False, "a new parameter that may be left out"
    return True, f"the {key} changed"


def _takes_more(before: str, after: str) -> bool:
    """Tell whether a signature only has more parameters that may be left out, at its end or by name."""
    old, new = _parameters(before), _parameters(after)
    if old is None or new is None or before.partition("(")[0] != after.partition("(")[0]:
        return False
    if ast.unparse(old[1]) != ast.unparse(new[1]):
        return False
    positional = [_told(*each) for each in _with_defaults(old[0])]
    longer = [_told(*each) for each in _with_defaults(new[0])]
    named, more = _named(old[0]), _named(new[0])
    if longer[: len(positional)] != positional or any(more.get(name) != told for name, told in named.items()):
        return False
    added = [*longer[len(positional) :], *(told for name, told in more.items() if name not in named)]
    return all("=" in told for told in added) and _stars(old[0]) == _stars(new[0])


def _parameters(text: str) -> tuple[ast.arguments, ast.expr] | None:
    head, _, returned = text.partition("(")[2].rpartition(" -> ")
    try:
        function = ast.parse(f"def it({head} -> {returned}: ...").body[0]
    except SyntaxError:
        return None
    assert isinstance(function, ast.FunctionDef)
    return function.args, function.returns or ast.Constant(None)


def _with_defaults(arguments: ast.arguments) -> list[tuple[ast.arg, ast.expr | None]]:
    every = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(every) - len(arguments.defaults)) + list(arguments.defaults)
    return list(zip(every, defaults, strict=True))


def _named(arguments: ast.arguments) -> dict[str, str]:
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {argument.arg: _told(argument, default) for argument, default in pairs}


def _stars(arguments: ast.arguments) -> list[str]:
    return [ast.unparse(each) if each else "" for each in (arguments.vararg, arguments.kwarg)]


def _told(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f"={ast.unparse(default)}" if default else "")


def _by_position(entry: Entry) -> bool:
    made = entry.facts.get("made by", "")
    return "attrs" in made and "kw_only=True" not in made


def _moved(before: Entry, after: Entry) -> str:
    old, new = ([key for key in entry.facts if key.startswith("field ")] for entry in (before, after))
    kept = [key for key in old if key in new]
    return "" if new[: len(kept)] == kept else f"{', '.join(old)} → {', '.join(new)}"


def _seconds(deadline: str) -> float:
    return float(deadline.removesuffix(" s"))
