"""What `mypy --strict` tells a plugin's author, with no plugin of mypy: nothing of what is right, all that is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
from lash_hookspecs.specs import all_specs

from tests.docs.pages import ROOT
from tests.specs.examples import example, import_lines, yours_in

IMPORTS = """\
from lash_hookspecs import handles, implements
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.specs.decisions import ALLOW, Decision
from lash_hookspecs.specs.offers import ModeOffer, OfferContext, ToolOffer, lash_offer_modes
from lash_hookspecs.specs.persistence import CommitProposed, Committed, lash_guard_commit, lash_on_committed
from lash_hookspecs.specs import persistence
"""


@attrs.frozen
class Wrong:
    """A wrong implementation, and what mypy says of it.

    Attributes:
        code: Below the imports.
        told: The errors, in order.
    """

    code: str
    told: tuple[str, ...]


def guard(signature: str, answer: str = "ALLOW") -> str:
    """A guard of commits as a function with this signature."""
    return f"@implements(lash_guard_commit)\n{signature}:\n    return {answer}\n"


def method(signature: str) -> str:
    """The same as a method of a session plugin."""
    return f"class Part(SessionPlugin):\n    @handles(lash_guard_commit)\n    {signature}:\n        return ALLOW\n"


def unfit(got: str, expected: str = "Callable[[CommitProposed], Coroutine[Any, Any, Allow | Deny]]") -> str:
    return f'Argument 1 has incompatible type "{got}"; expected "{expected}"  [arg-type]'


METHOD = "_Method[Never, CommitProposed, Coroutine[Any, Any, Allow | Deny]]"
NO_SELF = '"self" parameter missing for a non-static method (or an invalid type for self)  [misc]'
MADE = "Coroutine[Any, Any, Allow | Deny]]"

WRONG: Mapping[str, Wrong] = {
    "a_wrong_parameter": Wrong(
        guard("async def small(context: Committed) -> Decision"), (unfit(f"Callable[[Committed], {MADE}"),)
    ),
    "a_wrong_name_of_the_parameter": Wrong(
        guard("async def small(ctx: CommitProposed) -> Decision"),
        (
            unfit(
                "def small(ctx: CommitProposed) -> Coroutine[Any, Any, Allow | Deny]",
                "def lash_guard_commit(context: CommitProposed) -> Coroutine[Any, Any, Allow | Deny]",
            ),
        ),
    ),
    "a_wrong_result": Wrong(
        guard("async def small(context: CommitProposed) -> bool", "True"),
        (unfit("Callable[[CommitProposed], Coroutine[Any, Any, bool]]"),),
    ),
    "a_plain_function_for_an_async_hook": Wrong(
        guard("def small(context: CommitProposed) -> Decision"),
        (unfit("Callable[[CommitProposed], Allow | Deny]"),),
    ),
    "an_async_function_for_an_offer": Wrong(
        "@implements(lash_offer_modes)\nasync def modes(context: OfferContext) -> list[ModeOffer]:\n    return []\n",
        (
            unfit(
                "Callable[[OfferContext], Coroutine[Any, Any, list[ModeOffer]]]",
                "Callable[[OfferContext], list[ModeOffer]]",
            ),
        ),
    ),
    "an_offer_of_the_wrong_kind": Wrong(
        "@implements(lash_offer_modes)\ndef modes(context: OfferContext) -> list[ToolOffer]:\n    return []\n",
        (unfit("Callable[[OfferContext], list[ToolOffer]]", "Callable[[OfferContext], list[ModeOffer]]"),),
    ),
    "a_missing_argument": Wrong(guard("async def small() -> Decision"), (unfit(f"Callable[[], {MADE}"),)),
    "one_argument_too_many": Wrong(
        guard("async def small(context: CommitProposed, step: str) -> Decision"),
        (unfit(f"Callable[[CommitProposed, str], {MADE}"),),
    ),
    "a_typo_in_the_name_of_a_hook": Wrong(
        "@implements(persistence.lash_guard_comit)\n"
        "async def small(context: CommitProposed) -> Decision:\n    return ALLOW\n",
        ('Module has no attribute "lash_guard_comit"; maybe "lash_guard_commit"?  [attr-defined]',),
    ),
    "a_method_with_a_wrong_parameter": Wrong(
        method("async def small(self, context: Committed) -> Decision"),
        (unfit(f"Callable[[Part, Committed], {MADE}", METHOD), NO_SELF),
    ),
    "a_method_with_a_wrong_name_of_the_parameter": Wrong(
        method("async def small(self, ctx: CommitProposed) -> Decision"),
        (unfit(f"Callable[[Part, CommitProposed], {MADE}", METHOD), NO_SELF),
    ),
    "a_plain_method_for_an_async_hook": Wrong(
        method("def small(self, context: CommitProposed) -> Decision"),
        (unfit("Callable[[Part, CommitProposed], Allow | Deny]", METHOD), NO_SELF),
    ),
    "a_method_with_one_argument_too_many": Wrong(
        method("async def small(self, context: CommitProposed, step: str) -> Decision"),
        (unfit(f"Callable[[Part, CommitProposed, str], {MADE}", METHOD), NO_SELF),
    ),
    "a_mode_offer_without_what_builds_it": Wrong(
        'ModeOffer(name="mine")\n', ('Missing named argument "build" for "ModeOffer"  [call-arg]',)
    ),
}


def test_mypy_says_what_is_wrong_with_an_implementation_and_nothing_of_an_example(tmp_path: Path) -> None:
    """One test, so that mypy runs once."""
    for name, wrong in WRONG.items():
        (tmp_path / f"{name}.py").write_text(IMPORTS + wrong.code, encoding="utf-8")
    for hook in all_specs():
        (tmp_path / f"{hook}.py").write_text(typed_example(hook), encoding="utf-8")
    told: dict[str, tuple[str, ...]] = dict.fromkeys((path.stem for path in tmp_path.glob("*.py")), ())
    for line in errors(tmp_path):
        if match := re.fullmatch(r"(\w+)\.py:\d+: error: (.*)", line):
            told[match[1]] += (match[2],)
    assert told == {name: wrong.told for name, wrong in WRONG.items()} | dict.fromkeys(all_specs(), ())


def typed_example(hook: str) -> str:
    yours = "".join(f"{name}: Any\n" for name in yours_in(hook))
    return f"from typing import Any\n{import_lines(hook)}{yours}\n{example(hook)}"


def errors(folder: Path) -> list[str]:
    options = ["--strict", "--config-file=", "--no-pretty", "--hide-error-context", "--no-error-summary"]
    cache = f"--cache-dir={ROOT / '.mypy_cache' / 'authors'}"
    files = sorted(path.name for path in folder.glob("*.py"))
    command = [sys.executable, "-m", "mypy", *options, cache, *files]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return ran.stdout.splitlines()
