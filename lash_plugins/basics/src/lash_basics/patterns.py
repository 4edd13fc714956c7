"""File name patterns: ``*``, ``?``, ``[…]`` and ``**`` over path components; case does not matter."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache

__all__ = ["matcher"]

_WILD = re.compile(r"[*?\[]")


@lru_cache(maxsize=64)
def matcher(pattern: str) -> re.Pattern[str]:
    """Compile a pattern for use with ``fullmatch`` on a path.

    A pattern without a slash is held against the name alone, at any depth; one without wildcards matches every name
    that contains it.
    """
    pattern = pattern.strip().removeprefix("./")
    if not _WILD.search(pattern):
        pattern = f"*{pattern}*" if not pattern.endswith("/") else f"{pattern}**"
    parts = pattern.split("/")
    if len(parts) == 1:
        parts = ["**", *parts]
    return re.compile(
        "".join(_component(part, last=at == len(parts) - 1) for at, part in enumerate(parts)), re.IGNORECASE
    )


def _component(part: str, *, last: bool) -> str:
    if part == "**":
        return ".*" if last else "(?:.*/)?"
    translated = fnmatch.translate(part).removeprefix("(?s:").removesuffix(")\\Z").replace(".*", "[^/]*")
    return translated if last else f"{translated}/"
