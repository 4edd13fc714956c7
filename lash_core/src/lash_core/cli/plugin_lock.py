"""``lash plugins lock`` and ``verify``: what is installed, written down and compared; no plugin is imported."""

from __future__ import annotations

import attrs
import click
from lash_hookspecs.errors import ConfigurationError

from lash_core.cli.options import Shared, common
from lash_core.cli.output import plain, print_json, print_text
from lash_core.plugins import PluginManager, PluginRecord, PluginSettings
from lash_core.plugins.digests import Unlocatable
from lash_core.plugins.lockfile import write_lock
from lash_core.plugins.locking import differences, installed_state

__all__ = ["lock_plugins", "verify_plugins"]


@click.command("lock")
@common
def lock_plugins(shared: Shared) -> None:
    """Write lash-plugins.lock beside the settings file: all plugins but the disabled ones.

    Without a settings file it is written in the current folder.
    """
    settings = shared.settings().plugins
    lock = settings.lock_file
    states = installed_state((record for record in _found(settings) if record.state != "disabled"), lock)
    wrong = {name: state for name, state in states.items() if isinstance(state, Unlocatable)}
    if wrong:
        told = "; ".join(f"{name}: {reason}" for name, reason in wrong.items())
        raise ConfigurationError(f"nothing was locked: {told}; uninstall or disable what is broken")
    locked = [state for state in states.values() if not isinstance(state, Unlocatable)]
    write_lock(lock, locked)
    if shared.json:
        print_json({"lock": str(lock), "locked": [each.name for each in locked]})
    else:
        print_text(f"locked {_counted(len(locked))} in {lock}")


@click.command("verify")
@common
def verify_plugins(shared: Shared) -> None:
    """Compare what is installed with lash-plugins.lock, and each plugin's files with its RECORD.

    Ends with 1 if anything differs.
    """
    settings = shared.settings().plugins
    lock = settings.lock_file
    findings = list(differences(_found(settings), lock))
    if shared.json:
        print_json({"lock": str(lock), "findings": [attrs.asdict(finding) for finding in findings]})
    elif not findings:
        print_text(f"as locked in {lock}")
    for finding in () if shared.json else findings:
        print_text(plain(f"{finding.name}: {finding.told}"))
    if findings:
        click.get_current_context().exit(1)


def _found(settings: PluginSettings) -> list[PluginRecord]:
    """Find the plugins whatever the lock file says of them."""
    return list(PluginManager.discover(attrs.evolve(settings, locked=False)).records)


def _counted(number: int) -> str:
    return f"{number} distribution{'' if number == 1 else 's'}"
