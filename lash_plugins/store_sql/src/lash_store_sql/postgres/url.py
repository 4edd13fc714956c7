"""What a PostgreSQL URL says: where the server is, and how the store behaves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import attrs
import psycopg
from lash_hookspecs.errors import ConfigurationError, redact_url
from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["Location", "parse_url"]

#: What libpq may be told in a URL; see "Parameter Key Words" in PostgreSQL's manual.
_LIBPQ = frozenset({
    "application_name", "channel_binding", "connect_timeout", "gssencmode", "host", "hostaddr", "keepalives",
    "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "passfile", "password", "port",
    "require_auth", "service", "sslcert", "sslcrl", "sslkey", "sslmode", "sslpassword", "sslrootcert", "sslsni",
    "target_session_attrs", "tcp_user_timeout", "user",
})  # fmt: skip


@attrs.frozen(kw_only=True)
class Location:
    """What a URL says.

    Attributes:
        conninfo: For libpq; may hold a password, so it stays out of reprs.
        url: The URL, without secrets.
        secrets: What no message may hold.
        timeout: Seconds for which contention and a server that is away are waited out.
        max_value: The largest value in bytes.
        schema: The namespace that holds the tables.
        pool_size: The most connections that are open at a time.
    """

    conninfo: str = attrs.field(repr=False)
    url: str
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    timeout: float = 10.0
    # A value is one parameter of a message, and PostgreSQL takes messages up to 1 GB; a commit is one message.
    max_value: int = 256 * 1024 * 1024
    schema: str = "lash"
    pool_size: int = 8


def parse_url(url: str) -> Location:
    """Read ``postgresql://user:password@host:port/database?schema=lash&sslmode=require``.

    Raises:
        ConfigurationError: It cannot be read, or has an option that there is not.
    """
    shown = redact_url(url)
    place, _, query = url.partition("?")
    if "?" in query or "@" in query:  # the password has a bare question mark: the rest of it is no option to quote
        raise _malformed(shown)
    own: dict[str, Any] = {}
    passed: list[tuple[str, str]] = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in _OPTIONS:
            own[key] = _option(key, value, shown)
        elif key in _LIBPQ:
            passed.append((key, value))
        else:
            raise ConfigurationError(
                f"{shown}: unknown option {key!r}; known are {', '.join(sorted(_OPTIONS))}, "
                f"and of libpq's {', '.join(sorted(_LIBPQ))}"
            )
    parameters = _parsed(f"{place}?{urlencode(passed)}" if passed else place, shown)
    parameters.setdefault("application_name", "lash")
    parameters.setdefault("connect_timeout", str(max(2, math.ceil(own.get("timeout", 10.0)))))
    secrets = tuple(str(parameters[key]) for key in ("password", "sslpassword") if parameters.get(key))
    return Location(conninfo=make_conninfo("", **parameters), url=shown, secrets=secrets, **own)


def _parsed(url: str, shown: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(url))
    except psycopg.Error:
        # The driver's own message quotes what it could not read, which may be the password.
        raise _malformed(shown) from None


def _malformed(shown: str) -> ConfigurationError:
    return ConfigurationError(
        f"{shown}: a PostgreSQL URL is postgresql://user:password@host:port/database, "
        "with special characters of the password written as %XX"
    )


def _option(key: str, value: str, shown: str) -> Any:
    try:
        return _OPTIONS[key](value)
    except ValueError as error:
        raise ConfigurationError(f"{shown}: option {key!r} cannot be {value!r}") from error


def _seconds(text: str) -> float:
    value = float(text)
    if value < 0 or not math.isfinite(value):
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _namespace(text: str) -> str:
    if not 0 < len(text.encode()) < 64 or "\0" in text or text.startswith("pg_"):
        raise ValueError(text)
    return text


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "timeout": _seconds,
    "max_value": _count,
    "schema": _namespace,
    "pool_size": _count,
}
