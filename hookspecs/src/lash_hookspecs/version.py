"""The version of the hook API that this distribution describes."""

from __future__ import annotations

__all__ = ["HOOKSPEC_API", "api_satisfies"]

#: ``major.minor`` of the hook API. A host publishes the version it implements; a plugin's
#: ``requires_api`` is compared with that, never with the installed spec distribution (P9).
HOOKSPEC_API = "0.1"


def api_satisfies(published: str, required: str) -> bool:
    """Tell whether a host that publishes one API version can run a plugin that requires another.

    The majors must be equal and the published minor at least the required one. While the major is 0
    the minors must be equal too: before 1.0 each minor may break.

    Args:
        published: ``major.minor`` that the host implements.
        required: ``major.minor`` that the plugin was written for.

    Raises:
        ValueError: One of the two is not of the form ``major.minor``.
    """
    host_major, host_minor = _parse(published)
    major, minor = _parse(required)
    if host_major != major:
        return False
    return host_minor == minor if major == 0 else host_minor >= minor


def _parse(version: str) -> tuple[int, int]:
    major, dot, minor = version.partition(".")
    if not (dot and major.isdecimal() and minor.isdecimal()):
        raise ValueError(f"not a hook API version of the form 'major.minor': {version!r}")
    return int(major), int(minor)
