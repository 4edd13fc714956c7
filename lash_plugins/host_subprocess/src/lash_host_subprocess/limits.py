"""What one child may use, and how often a turn gets another one."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ChildLimits"]


class ChildLimits(BaseModel):
    """What one child process may use; the settings ``[lash.plugin.subprocess]``.

    Attributes:
        seconds: Wall-clock time; ``None`` for no limit.
        cpu_seconds: Processor time, whole seconds; ``None`` for no limit.
        memory_mb: Megabytes of address space (``RLIMIT_AS``), which is more than what is resident: a bare child needs
            about 120. ``None`` for no limit.
        restarts: How many times a turn whose child died is continued in another one.
        grace: Seconds that a child which was told to end its turn has before it is killed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seconds: float | None = Field(default=None, gt=0)
    cpu_seconds: int | None = Field(default=None, ge=1)
    memory_mb: int | None = Field(default=None, ge=1)
    restarts: int = Field(default=1, ge=0)
    grace: float = Field(default=5.0, ge=0)
