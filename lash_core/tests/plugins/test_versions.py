"""The host says which hook API it implements, and a hook that is to go says so to who implements it (P9)."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

from hook_kinds import Said, part, plugin, setup
from lash_core.plugins import PluginManager
from lash_hookspecs.markers import handles, hook_info, implements, observe, transform
from lash_hookspecs.protocols.session_plugins import SessionPlugin

if TYPE_CHECKING:
    from lash_core.tests.plugins.conftest import Site


def test_a_requirement_is_compared_with_what_the_host_publishes(site: Site) -> None:
    for version in ("0.1", "9.9"):
        package = f"dummy_{version.replace('.', '_')}"
        manifest = f'requires_api = "{version}"\n[offers]\nmodes = ["{package}"]\n'
        files = {f"{package}/__init__.py": "", f"{package}/lash-plugin.toml": manifest}
        site.add(f"dist-{version}", {package: package}, files)
    code = (
        f"import sys; sys.path.insert(0, {str(site.path)!r});"
        "import lash_hookspecs.version as installed; installed.HOOKSPEC_API = '9.9';"
        "from lash_core.plugins import PluginManager;"
        "print(*(f'{each.name} {each.state}: {each.reason}' for each in PluginManager.discover().records"
        " if each.name.startswith('dummy_')), sep='\\n')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == (
        "dummy_0_1 active: \ndummy_9_9 incompatible: needs hook API 9.9; this lash-core implements 0.1\n"
    )


@observe(since="0.1", deprecated="0.3: use lash_on_words")
async def lash_on_old_words(context: Said) -> None:
    """Called when something was said.

    Example::

        @implements(lash_on_old_words)
        async def hear(context: Said) -> None: ...
    """


@transform("words", result=str, since="0.2", deadline=0.5)
async def lash_transform_plain_words(context: Said) -> str:
    """Called before something is said."""
    raise AssertionError("a specification is never called")


OLD: Any = [lash_on_old_words, lash_transform_plain_words]
SAID = "implements lash_on_old_words, which is deprecated since 0.3: use lash_on_words"


async def test_who_implements_a_deprecated_hook_is_warned_and_called() -> None:
    heard = []

    @implements(lash_on_old_words)
    async def hear(context: Said) -> None:
        heard.append(context.words)

    class Part(SessionPlugin):
        @handles(lash_on_old_words)
        async def listen(self, context: Said) -> None:
            heard.append(context.words)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        manager = PluginManager.for_tests([plugin("mine", hear), part("part", lambda setup: Part())], specs=OLD)
        hooks = await manager.open_session(setup())
    assert {str(warning.message) for warning in told} == {
        f"hear_0() {SAID}",
        f"Part.listen() {SAID}",
    }
    assert {warning.category for warning in told} == {DeprecationWarning}
    assert {warning.filename for warning in told} == {__file__}
    assert {warning.lineno for warning in told} >= {hear.__code__.co_firstlineno}
    await hooks.notify(lash_on_old_words, Said())
    assert heard == ["so", "so"]


def test_nobody_else_is_warned() -> None:
    @implements(lash_transform_plain_words)
    async def shout(context: Said) -> str:
        return context.words.upper()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PluginManager.for_tests([plugin("mine", shout)], specs=OLD)


def test_the_docstring_of_a_hook_says_what_its_marker_fixes() -> None:
    assert hook_info(lash_on_old_words).deprecated == "0.3: use lash_on_words"
    assert lash_on_old_words.__doc__ == (
        "Called when something was said.\n\n"
        "Kind: observe. Deadline: 5 s. Since: 0.1. Deprecated since 0.3: use lash_on_words.\n\n"
        "Example::\n\n"
        "    @implements(lash_on_old_words)\n"
        "    async def hear(context: Said) -> None: ..."
    )
    assert lash_transform_plain_words.__doc__ == (
        "Called before something is said.\n\nKind: transform of ``context.words``. Deadline: 0.5 s. Since: 0.2."
    )
