"""What one child may use, and how often a turn gets another one."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

import attrs
from lash_hookspecs.errors import ConfigurationError

__all__ = ["ChildLimits"]


@attrs.frozen(kw_only=True)
class ChildLimits:
    """What one child process may use.

    Attributes:
        seconds: Wall-clock time; ``None`` for no limit.
        cpu_seconds: Processor time, whole seconds; ``None`` for no limit.
        memory_mb: Megabytes of address space (``RLIMIT_AS``), which is more than what is resident: a bare child needs
            about 250. ``None`` for no limit.
        restarts: How many times a turn whose child died is continued in another one.
        grace: Seconds that a child which was told to end its turn has before it is killed.
    """

    seconds: float | None = None
    cpu_seconds: int | None = None
    memory_mb: int | None = None
    restarts: int = 1
    grace: float = 5.0

    @classmethod
    def from_settings(cls, table: Mapping[str, object]) -> ChildLimits:
        """Read ``[lash.plugin.subprocess]``; its keys are the attributes, with ``-`` for ``_`` if you like.

        Raises:
            ConfigurationError: A key is unknown or a value cannot be; names it.
        """
        known = attrs.fields_dict(cls)
        told: dict[str, Any] = {}
        for key, value in table.items():
            name = key.replace("-", "_")
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
                raise ConfigurationError(f"lash.plugin.subprocess: unknown key {key!r}{hint}")
            told[name] = _checked(key, name, value)
        return cls(**told)


def _checked(key: str, name: str, value: object) -> float:
    whole = name in ("cpu_seconds", "memory_mb", "restarts")
    least = 0 if name in ("restarts", "grace") else 1 if whole else math.ulp(0.0)
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if fits and isinstance(value, int | float) and least <= value < math.inf:
        return value
    kind = "a whole number" if whole else "a number"
    bound = "0 or more" if not least else "1 or more" if whole else "more than 0"
    raise ConfigurationError(f"lash.plugin.subprocess: {key} must be {kind}, {bound}, not {value!r}")
