"""The pages of the hooks: one each below docs/hooks/, and the tables of docs/hooks.md that the sources can tell.

Who calls a hook, when, and what its error means are told by the tables of docs/hooks.md, which a person writes and
tests/docs/test_hooks_page.py checks; all else is read from the specifications.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
from lash_hookspecs.markers import HookInfo, hook_info
from lash_hookspecs.specs import all_specs

from tests.docs.pages import ROOT
from tests.specs.describe import described
from tests.specs.examples import example, import_lines, yours_in
from tests.specs.hook_tests import HOOK_TESTS

__all__ = ["NONE", "implementers", "linked_name", "outdated", "pages", "write_pages"]

INDEX = Path("docs/hooks.md")

#: What stands in the table for a hook that nothing of ours implements.
NONE = "none: for plugins"

#: What an error means where the table of errors does not say it.
_ERRORS = {
    "offer": "The step fails, naming the plugin.",
    "observe": "It is logged with the plugin's name and goes no further.",
    "transform": "The step fails, naming plugin and hook.",
    "guard": "It is a denial.",
}
_ANSWERS = {
    "offer": "A list, which may be empty; every plugin's items are kept, in plugin order.",
    "observe": "Nothing.",
    "transform": "What `context.{field}` becomes; the next plugin gets it there.",
    "guard": "`ALLOW`, or `Deny(reason)`: one denial is enough, the first in plugin order is told.",
}
_IMPORTED = "| To implement | Module | Context | With | Answer |\n| --- | --- | --- | --- | --- |\n"


def pages(root: Path = ROOT) -> dict[Path, str]:
    """Give the text of every page that is made or mended, by its path below the checkout."""
    index = _mended((root / INDEX).read_text(encoding="utf-8"))
    made = {Path(f"docs/hooks/{hook}.md"): _page(hook, index) for hook in all_specs()}
    return {INDEX: index, **made}


@cache
def implementers() -> Mapping[str, list[str]]:
    """Find the first-party modules that implement each hook."""
    found: dict[str, list[str]] = {hook: [] for hook in all_specs()}
    for folder in sorted([ROOT / "lash_core/src", *ROOT.glob("lash_plugins/*/src")]):
        for path in sorted(folder.rglob("*.py")):
            for hook in re.findall(
                r"^ *@(?:implements|handles)\((\w+)\)", path.read_text(encoding="utf-8"), re.MULTILINE
            ):
                if hook in found:
                    found[hook].append(".".join(path.relative_to(folder).with_suffix("").parts))
    return found


def write_pages(root: Path = ROOT) -> None:
    """Write the pages, and remove those of hooks that are gone."""
    wanted = pages(root)
    (root / "docs/hooks").mkdir(exist_ok=True)
    for path in _superfluous(root, wanted):
        (root / path).unlink()
    for path, text in wanted.items():
        (root / path).write_text(text, encoding="utf-8")


def outdated(root: Path = ROOT) -> list[str]:
    """Tell which pages are not what the specifications say."""
    wanted = pages(root)
    wrong = [path for path, text in wanted.items() if not _holds(root / path, text)]
    return [
        f"{path} is not what the specifications say: run `make specs` and commit what it writes"
        for path in (*wrong, *_superfluous(root, wanted))
    ]


def _superfluous(root: Path, wanted: dict[Path, str]) -> list[Path]:
    there = (path.relative_to(root) for path in (root / "docs/hooks").glob("*.md"))
    return sorted(path for path in there if path not in wanted)


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def linked_name(cell: str) -> str:
    """Give the hook that a cell names, with a link to its page or without."""
    return re.sub(r"\[(`\w+`)\]\([^)]*\)", r"\1", cell)


def _page(hook: str, index: str) -> str:
    spec = all_specs()[hook]
    info, (prose, _) = hook_info(spec), _docstring(spec)
    _, called, caller, implementer = _row(hook, index)
    context = _context(spec)
    parts = [
        f"# {hook}",
        prose,
        f"```py\n{_signature(hook)}\n```",
        _facts(hook, info, called, caller, implementer, index),
        f"## The context\n\n`{context.__name__}` of `{spec.__module__}`: {_sentence(context)}\n\n{_fields(context)}",
        f"## The answer\n\n{_ANSWERS[info.kind].format(field=info.field)}{_answered(spec)}",
        f"## Example\n\n<!-- not run: a test calls it with a context of a session -->\n"
        f"```python\n{import_lines(hook)}\n\n{example(hook)}```{_yours(hook)}",
        "Made from the specification by `make specs`. [Every hook](../hooks.md)",
    ]
    return "\n\n".join(parts) + "\n"


def _facts(hook: str, info: HookInfo, called: str, caller: str, implementer: str, index: str) -> str:
    if hook not in HOOK_TESTS:
        raise LookupError(f"{hook} has no test of its own: write one, and name it in tests/specs/hook_tests.py")
    file, test = HOOK_TESTS[hook].split("::")
    deadline = f"{info.deadline:g} s for each plugin, counted at awaits" if info.deadline else "none: a plain function"
    told = {
        "Kind": f"[{info.kind}](../hooks.md#kinds)",
        "Called": called,
        "By": f"`lash_core.{caller.strip('`')}`",
        "Deadline": deadline,
        "Since": f"hook API {info.since}",
        "An error": _error(hook, info, index),
        "Comes with Lash": "no plugin that implements it" if implementer == NONE else implementer,
        "Its test": f"`{test}` in `{file}`",
    }
    if info.deprecated:
        told["Deprecated"] = f"since {info.deprecated}"
    return "".join(f"- **{name}**: {value}\n" for name, value in told.items()).rstrip()


def _error(hook: str, info: HookInfo, index: str) -> str:
    for cells in _rows(index, "Hook", 3):
        if f"`{hook}`" in cells[0]:
            return f"{cells[1]}. Stored: {cells[2]}."
    return _ERRORS[info.kind]


def _docstring(spec: Callable[..., Any]) -> tuple[str, str]:
    """Give the prose of a specification as Markdown, and its example."""
    text = inspect.getdoc(spec) or ""
    prose, _, code = text.partition("Example::")
    told = re.sub(r"^Kind: .*$", "", prose, flags=re.MULTILINE).strip()
    return _markdown(told), code


def _signature(hook: str) -> str:
    told = described()[f"hook {hook}"].facts["signature"]
    bare = told.removeprefix("async ")
    return f"{'async ' if bare != told else ''}def {hook}{bare}"


def _context(spec: Callable[..., Any]) -> Any:
    return vars(sys.modules[spec.__module__])[inspect.signature(spec).parameters["context"].annotation]


def _sentence(kind: type) -> str:
    return _markdown((inspect.getdoc(kind) or "").partition("\n\n")[0])


def _fields(kind: Any) -> str:
    told = _attributes(kind)
    return "\n".join(f"- `{field.name}`: `{field.type}`. {_markdown(told[field.name])}" for field in attrs.fields(kind))


def _attributes(kind: type) -> dict[str, str]:
    """Read what a class's docstring says of its attributes."""
    _, _, listed = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    lines = re.sub(r"\n {8,}", " ", textwrap.indent(textwrap.dedent(listed.partition("\n\n")[0]), "    "))
    return dict(line.strip().split(": ", 1) for line in lines.splitlines() if ": " in line)


def _answered(spec: Callable[..., Any]) -> str:
    """Say what the type of an answer holds, where it is the hook's own."""
    name = re.sub(r"^(list|tuple)\[|\]$|, \.\.\.\]$", "", str(inspect.signature(spec).return_annotation))
    kind = vars(sys.modules[spec.__module__]).get(name)
    if not (isinstance(kind, type) and attrs.has(kind)):
        return ""
    return f"\n\n`{kind.__name__}` of `{spec.__module__}`: {_sentence(kind)}\n\n{_fields(kind)}"


def _yours(hook: str) -> str:
    names = yours_in(hook)
    return f"\n\nYours in it: {', '.join(f'`{name}`' for name in names)}." if names else ""


def _markdown(text: str) -> str:
    return text.replace("``", "`")


def _mended(index: str) -> str:
    """Link each hook to its page, and list what there is to import."""
    hooks = [linked_name(cells[0]).strip("`") for cells in _rows(index, "Hook", 5)]
    for hook in hooks:
        kind, called, caller, _ = _row(hook, index)
        ours = ", ".join(f"`{module}`" for module in implementers()[hook]) or NONE
        row = f"| [`{hook}`](hooks/{hook}.md) | {kind} | {called} | {caller} | {ours} |"
        (before,) = re.findall(rf"^\| \S*`{hook}`\S* \| {kind} \|.*$", index, re.MULTILINE)
        index = index.replace(before, row)
    before, heading, rest = index.partition(_IMPORTED)
    _, _, after = rest.partition("\n\n")
    return before + heading + "".join(_imported(hook) for hook in hooks) + "\n" + after


def _imported(hook: str) -> str:
    spec = all_specs()[hook]
    context, answer = _context(spec), str(inspect.signature(spec).return_annotation)
    fields = ", ".join(f"`{field.name}`" for field in attrs.fields(context))
    told = "nothing" if answer == "None" else f"`{answer}`"
    return f"| `{hook}` | `{spec.__module__.rpartition('.')[2]}` | `{context.__name__}` | {fields} | {told} |\n"


def _row(hook: str, index: str) -> list[str]:
    for cells in _rows(index, "Hook", 5):
        if linked_name(cells[0]) == f"`{hook}`":
            return cells[1:]
    raise LookupError(f"{INDEX} has no row for {hook}: say there when it is called, by whom, and who implements it")


def _rows(text: str, first: str, width: int) -> Iterator[list[str]]:
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        inside = line.startswith("|") and (inside or cells[0] == first)
        if inside and len(cells) == width and cells[0] != first and not set(line) <= set("|-: "):
            yield cells
