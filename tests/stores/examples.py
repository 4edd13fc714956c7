"""The example stores of the documentation, which no development environment installs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

__all__ = ["example", "source"]

_EXAMPLES = Path(__file__).parents[2] / "docs/examples"


def source(name: str) -> Path:
    """Give the module of an example."""
    return _EXAMPLES / f"{name}/src/lash_{name}/__init__.py"


def example(name: str) -> Any:
    """Import an example."""
    module = f"lash_{name}"
    if module not in sys.modules:
        spec = importlib.util.spec_from_file_location(module, source(name))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    return sys.modules[module]
