"""The hook API as text: what `lash_hookspecs` names in an ``__all__``, one fact a line.

Classes and functions are read from the sources, so that a line says what the author wrote, on every Python. What a
hook's marker fixes is asked of the marker.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import attrs
from lash_hookspecs.markers import HookInfo, hook_info
from lash_hookspecs.specs import all_specs

__all__ = ["Entry", "described", "parsed", "written"]

SOURCES = Path(__file__).parents[2] / "hookspecs/src/lash_hookspecs"

#: What a field is given that says nothing about the contract.
_SILENT = ("repr", "description", "examples", "eq", "hash", "validator")
_UNSAID = ("__attrs_post_init__", "__repr__", "__str__", "__eq__", "__hash__", "__reduce__", "__getattr__")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class Entry:
    """A thing that the contract names.

    Attributes:
        kind: ``hook``, ``class``, ``protocol``, ``error``, ``function``, ``value``, or ``name`` of what is elsewhere.
        name: Where it is, below `lash_hookspecs`; a hook has its bare name.
        facts: What is said of it, in the order of the source: ``"field session_id"`` → ``"str"``.
    """

    kind: str
    name: str
    facts: Mapping[str, str]

    @property
    def title(self) -> str:
        """Its line."""
        return f"{self.kind} {self.name}"


@cache
def described(sources: Path = SOURCES) -> Mapping[str, Entry]:
    """Describe the contract as the sources have it, which are read once; title → entry."""
    hooks = [_hook(name) for name in sorted(all_specs())]
    rest = [entry for path in sorted(sources.rglob("*.py")) for entry in _module(path, sources)]
    return {entry.title: entry for entry in (*hooks, *sorted(rest, key=lambda entry: entry.name))}


def written(entries: Iterable[Entry]) -> str:
    """Write entries down, as `parsed` reads them."""
    return "\n".join(
        f"{entry.title}\n" + "".join(f"    {key}: {value}\n" for key, value in entry.facts.items()) for entry in entries
    )


def parsed(text: str) -> dict[str, Entry]:
    """Read what `written` wrote; title → entry."""
    found: dict[str, Entry] = {}
    for block in text.strip().split("\n\n"):
        title, *lines = block.splitlines()
        facts = dict(line.strip().split(": ", 1) for line in lines)
        kind, name = title.split(" ", 1)
        found[title] = Entry(kind, name, facts)
    return found


def _hook(name: str) -> Entry:
    spec = all_specs()[name]
    info = hook_info(spec)
    module = spec.__module__.removeprefix("lash_hookspecs.")
    function = _definitions(SOURCES / f"{module.replace('.', '/')}.py")[name]
    assert isinstance(function, Function)
    return Entry("hook", name, {"in": module, "signature": _signature(function), **_fixed(info)})


def _fixed(info: HookInfo) -> dict[str, str]:
    facts = {"kind": info.kind, "since": info.since}
    if info.deadline is not None:
        facts["deadline"] = f"{info.deadline:g} s"
    if info.field:
        facts["changes"] = info.field
    if info.deprecated:
        facts["deprecated"] = info.deprecated
    return facts


def _module(path: Path, sources: Path) -> Iterator[Entry]:
    dotted = ".".join(path.relative_to(sources).with_suffix("").parts).removesuffix("__init__").rstrip(".")
    definitions = _definitions(path)
    for name in ast.literal_eval(getattr(definitions.get("__all__"), "value", ast.List([]))):
        if name in all_specs() or name == "HOOKSPEC_API":
            continue  # told by their own lines
        yield _entry(f"{dotted}.{name}" if dotted else name, definitions[name], dotted)


@cache
def _definitions(path: Path) -> dict[str, ast.stmt]:
    """Give what a module defines at its top, a `TYPE_CHECKING` block's imports included; overloads by their first."""
    found: dict[str, ast.stmt] = {}
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for statement in body + [inner for each in body if isinstance(each, ast.If) for inner in each.body]:
        for name in _names(statement):
            found.setdefault(name, statement)
    return found


def _names(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name for alias in aliases]
    return []


def _entry(name: str, definition: ast.stmt, module: str) -> Entry:
    match definition:
        case ast.ClassDef():
            bases = [ast.unparse(base) for base in definition.bases]
            is_protocol = any(base.startswith("Protocol") for base in bases)
            kind = "protocol" if is_protocol else "error" if module == "errors" else "class"
            return Entry(kind, name, dict(_class(definition)))
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return Entry("function", name, {"signature": _signature(definition)})
        case ast.ImportFrom(module=source):
            return Entry("name", name, {"of": f"{source}.{name.rpartition('.')[2]}"})
        case ast.AnnAssign(annotation=annotation, value=value):
            return Entry("value", name, {"type": ast.unparse(annotation), "is": _text(value)})
        case ast.Assign(value=value):
            return Entry("value", name, {"is": _text(value)})
    raise TypeError(f"what is {name}? {ast.dump(definition)}")


def _class(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    if definition.decorator_list:
        yield "made by", ", ".join(ast.unparse(each) for each in definition.decorator_list)
    if definition.bases:
        yield "bases", ", ".join(ast.unparse(each) for each in definition.bases)
    seen: dict[str, int] = {}
    for statement in definition.body:
        for key, value in _members(statement):
            seen[key] = seen.get(key, 0) + 1
            yield (key if seen[key] == 1 else f"{key} ({seen[key]})"), value


def _members(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value) if _is_public(name):
            yield f"field {name}", f"{ast.unparse(annotation)}{_default(value)}"
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_public(name):
            yield f"value {name}", _text(value)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if _is_public(name):
            marks = [ast.unparse(each) for each in statement.decorator_list]
            if "property" in marks:
                yield f"property {name}", _text(statement.returns)
                return
            yield f"method {name}", " ".join([*(f"@{mark}" for mark in marks), _signature(statement)])
            if name == "__init__":
                yield from ((f"attribute {each}", "set by __init__") for each in _set_by(statement))


def _set_by(function: Function) -> list[str]:
    targets = [target for each in ast.walk(function) if isinstance(each, ast.Assign) for target in each.targets]
    names = [
        target.attr
        for target in targets
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
    ]
    return [name for name in dict.fromkeys(names) if _is_public(name)]


def _is_public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__") and name not in _UNSAID)


def _signature(function: Function) -> str:
    colour = "async " if isinstance(function, ast.AsyncFunctionDef) else ""
    returned = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{colour}({ast.unparse(function.args)}){returned}"


def _default(value: ast.expr | None) -> str:
    """Give a field's default and what else is asked of its value."""
    if not (isinstance(value, ast.Call) and ast.unparse(value.func) in ("attrs.field", "field", "Field")):
        return f" = {_text(value)}" if value is not None else ""
    said = {each.arg: ast.unparse(each.value) for each in value.keywords if each.arg and each.arg not in _SILENT}
    factory = said.pop("factory", None) or said.pop("default_factory", None)
    default = said.pop("default", None) or (ast.unparse(value.args[0]) if value.args else None)
    text = f" = {factory}()" if factory else f" = {default}" if default and default != "..." else ""
    return text + (f" where {', '.join(f'{key}={each}' for key, each in said.items())}" if said else "")


def _text(value: ast.expr | None) -> str:
    return ast.unparse(value) if value is not None else ""
