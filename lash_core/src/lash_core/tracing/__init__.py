"""Traces: what a session does, told to a sink while it happens."""

from __future__ import annotations

from lash_core.tracing.session_tracer import SessionTracer
from lash_core.tracing.sinks import JsonLinesSink, MemorySink
from lash_core.tracing.tracer import Tracer

__all__ = ["JsonLinesSink", "MemorySink", "SessionTracer", "Tracer"]
