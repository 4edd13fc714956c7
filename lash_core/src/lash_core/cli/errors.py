"""How errors become exit codes and words.

==== ==========================================================================================================
0    finished
1    the turn stopped or failed; anything unforeseen
2    wrong usage or configuration: options, settings, unknown model, mode, scheme or session, what cannot be stored
3    busy or conflict: somebody else works on the session, or committed first
4    waiting or queued
5    store unavailable: no database, no permission, disk full, data that cannot be read
130  cancelled
==== ==========================================================================================================

An error is one paragraph on stderr. With ``--json`` stdout gets ``{"error": {"code", "message", …}}`` as well, so that
a program finds one JSON document there in any case. A traceback comes under ``--debug`` alone.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

import click
from lash_hookspecs import errors
from lash_hookspecs.errors import LashError

from lash_core.cli.output import print_json, to_stderr

if TYPE_CHECKING:
    from lash_core.cli.options import Shared

__all__ = ["CANCELLED", "OUTCOMES", "exit_code", "report"]

CANCELLED = 130

#: A turn's outcome → exit code.
OUTCOMES = {"finished": 0, "stopped": 1, "failed": 1, "waiting": 4, "queued": 4, "cancelled": CANCELLED}

#: The first class that an error is an instance of decides.
_CODES: tuple[tuple[type[LashError], int], ...] = (
    (errors.ConfigurationError, 2),
    (errors.InvalidInput, 2),
    (errors.InvalidSessionId, 2),
    (errors.SessionMissing, 2),
    (errors.SessionExists, 2),
    (errors.NodeMissing, 2),
    (errors.NodeInUse, 2),
    (errors.HistoryPruned, 2),
    (errors.TaskError, 2),
    (errors.TurnError, 2),  # asked of a session in the wrong state; a turn that fails is an outcome, no error
    (errors.SessionDeleted, 2),
    (errors.SessionBusy, 3),
    (errors.ConflictBranched, 3),
    (errors.StoreBusy, 3),
    (errors.SessionLeased, 3),
    (errors.WriterFenced, 3),
    (errors.HeadRevisionConflict, 3),
    (errors.CommitIdReused, 3),
    (errors.SessionBindingMismatch, 3),
    (errors.LimitExceeded, 1),
    (errors.CorruptSession, 5),
    (errors.StoreRegressed, 2),
    (errors.StoreError, 5),
)


def exit_code(error: BaseException) -> int:
    """Give the exit code of an error."""
    if isinstance(error, click.exceptions.Exit | click.ClickException):
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt | asyncio.CancelledError):
        return CANCELLED
    if isinstance(error, errors.SessionDeleted) and error.step == "commit":
        return 3  # deleted by somebody else while we worked on it
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1)


def report(error: BaseException, shared: Shared) -> int:
    """Tell an error to people and, under ``--json``, to programs; the exit code."""
    code = exit_code(error)
    if isinstance(error, click.exceptions.Exit):
        return code
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        to_stderr(error.format_message(), paragraph=False)
        return code
    to_stderr(f"lash: {_words(error)}")
    if shared.debug:
        to_stderr("".join(traceback.format_exception(error)).rstrip(), paragraph=False)
    if shared.json:
        print_json({"error": _document(error)})
    return code


def _words(error: BaseException) -> str:
    if isinstance(error, LashError):
        return error.message
    if isinstance(error, click.ClickException):
        hint = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        return f"{error.format_message()} {f'See {hint} --help.' if hint else ''}"
    if exit_code(error) == CANCELLED:
        return "cancelled"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return f"unforeseen {type(error).__name__}: {error} (--debug shows where; please report it)"


def _document(error: BaseException) -> dict[str, object]:
    if isinstance(error, LashError):
        kept = error.leaf if isinstance(error, errors.ConflictBranched) else None
        known = {"session_id": error.session_id, "plugin": error.plugin, "step": error.step, "leaf": kept}
        return {"code": error.code, "message": error.message, **{key: told for key, told in known.items() if told}}
    if isinstance(error, click.ClickException):
        return {"code": "usage", "message": error.format_message()}
    return {"code": "cancelled" if exit_code(error) == CANCELLED else "unforeseen", "message": _words(error)}
