"""Answers about files as such: which there are, how long they are, what they say."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from lash_basics.extractive.desk import FileText
from lash_basics.extractive.intents import (
    Count,
    Extreme,
    Find,
    ListFiles,
    Occurrences,
    Outline,
    Read,
    Target,
)
from lash_basics.extractive.language import joined, plural
from lash_basics.extractive.prose import headings_of, prose_of, suffix_of
from lash_basics.extractive.talk import Answer, CannotTell, Talk, kind_name

__all__ = ["count", "extreme", "find", "list_files", "occurrences", "outline", "read"]

#: Names in one answer.
MAX_NAMES = 60

#: Files that are counted one by one in an answer; of more, the sum and the largest are said.
MAX_COUNTED = 25

#: Lines of a file in one answer.
MAX_LINES = 80


def list_files(intent: ListFiles, talk: Talk) -> Answer:
    """Answer which files there are."""
    target = intent.target
    if target.kind or intent.deep or (intent.count_only and not intent.folders):
        return _deep_list(intent, talk)
    folder = "." if target.project or target.pronoun or target.is_empty else _folder_of(target, talk)
    names, problem = talk.desk.list_folder(folder)
    if problem:
        raise CannotTell(_sentence(problem))
    folders = [name for name in names if name.endswith("/")]
    files = [name for name in names if not name.endswith("/")]
    where = "here" if folder == "." else f"in {folder}/"
    if intent.folders:
        return _named_list(f"There {_are(len(folders), 'folder')} {where}", folders)
    if not names:
        return Answer(f"There are no files {where}.")
    if not files and folder != "." and not intent.sizes:
        return _deep_list(attrs.evolve(intent, target=Target(folder=folder)), talk)
    counted = " and ".join(plural(len(kind), noun) for kind, noun in ((folders, "folder"), (files, "file")) if kind)
    if intent.sizes:
        sizes = talk.index.sizes
        names = [f"{name} ({plural(sizes[name], 'byte')})" if name in sizes else name for name in names]
    return _named_list(f"There {'is' if counted.startswith('1 ') else 'are'} {counted} {where}", names)


def _folder_of(target: Target, talk: Talk) -> str:
    if target.folder:
        return talk.folder(target.folder)
    name = target.mentions[0] if target.mentions else "."
    if name.startswith(("/", ".", "~")):
        return name
    return talk.folder(name)


def _deep_list(intent: ListFiles, talk: Talk) -> Answer:
    target = intent.target
    folder = talk.folder(target.folder) if target.folder else ""
    kind = target.kind
    if kind:
        found = talk.documents(kind, folder)
        total = len(found)
    else:
        found = talk.files(None, folder)
        total = len(found) if folder else max(len(found), talk.index.total)
    noun = kind_name(kind) if kind else "files"
    where = f"in {folder}/" if folder else "here"
    if not total:
        return Answer(f"There are no {noun} {where}.")
    number = f"1 {noun.removesuffix('s')}" if total == 1 else f"{total} {noun}"
    said = f"There {'is' if total == 1 else 'are'} {number} {where}"
    if intent.count_only and total > 12:
        return Answer(f"{said}.", tuple(found))
    if intent.sizes:
        found = [f"{name} ({plural(talk.index.sizes.get(name, 0), 'byte')})" for name in found]
    return _named_list(said, found, total=total)


def _named_list(said: str, names: Sequence[str], total: int | None = None) -> Answer:
    if not names:
        return Answer(f"{said}.")
    lines = [f"- {name}" for name in names[:MAX_NAMES]]
    more = (total or len(names)) - len(lines)
    tail = [f"… and {more} more; name a folder or a kind of files to see fewer."] if more > 0 else []
    files = tuple(name.split(" (")[0].rstrip("/") for name in names)
    return Answer("\n".join([f"{said}:", *lines, *tail]), files, kept="\n".join(names))


def find(intent: Find, talk: Talk) -> Answer:
    """Answer where a file is."""
    name = intent.name.strip("'\"` ")
    if re.search(r"[*?\[]", name):
        return _find_pattern(name, talk)
    found = talk.index.file(name)
    if found.paths and found.sure:
        return _places(name, found.paths)
    folder = talk.index.folder(name)
    if folder:
        return Answer(f"{name} is a folder: {folder}/.", (folder,))
    holding = [path for path, _size in talk.desk.find(name)[0]]
    if holding:
        return _named_list(
            f"There is no file named {name}, but {plural(len(holding), 'file')} with it in the name", holding
        )
    if found.paths:
        return Answer(f"There is no file named {name}; the nearest is {joined(found.paths, 'or')}.", found.paths)
    return Answer(f"No, there is no file named {name} here.")


def _find_pattern(pattern: str, talk: Talk) -> Answer:
    entries, total = talk.desk.find(pattern)
    if not entries:
        return Answer(f"No file here matches {pattern}.")
    matches = "1 file matches" if total == 1 else f"{total} files match"
    return _named_list(f"{matches} {pattern}", [path for path, _size in entries], total=total)


def _places(name: str, paths: Sequence[str]) -> Answer:
    if len(paths) == 1:
        folder = paths[0].rpartition("/")[0]
        place = f"in the folder {folder}/" if folder else "at the top of this folder"
        return Answer(f"{paths[0]} is {place}.", tuple(paths))
    return _named_list(f"There are {len(paths)} files that fit {name}", paths)


def read(intent: Read, talk: Talk) -> Answer:
    """Show files."""
    if intent.target.folder and not intent.target.mentions:
        return list_files(ListFiles(target=intent.target), talk)
    if intent.target.answer:
        return Answer(talk.last_answer or "I have not said anything yet.")
    mentions = intent.target.mentions
    if len(mentions) == 1 and not talk.index.file(mentions[0]).sure and talk.index.folder(mentions[0]):
        return list_files(ListFiles(target=intent.target), talk)
    meant = talk.meant(intent.target)
    shown = [_shown(intent, path, talk, alone=len(meant.paths) == 1) for path in meant.paths[:5]]
    more = len(meant.paths) - len(shown)
    tail = [f"There are {plural(more, 'more file')}; name the one you want to see."] if more > 0 else []
    kept = shown[0][1] if len(shown) == 1 else None
    return Answer(meant.noted("\n\n".join([*(text for text, _body in shown), *tail])), meant.paths, kept=kept)


def _shown(intent: Read, path: str, talk: Talk, *, alone: bool) -> tuple[str, str | None]:
    most = intent.lines or (MAX_LINES if alone else 20)
    text = talk.desk.read_lines(path, intent.first, most)
    if not text.lines:
        return _sentence(text.note), None
    last = text.first + len(text.lines) - 1
    body = text.text.rstrip("\n")
    if text.complete:
        return f"{path} ({plural(text.total, 'line')}):\n\n{body}", text.text + "\n"
    which = f"line {last}" if last == text.first else f"lines {text.first} to {last}"
    tail = ""
    if intent.lines is None and last < text.total:
        following = f"lines {last + 1} to {min(last + most, text.total)} of {path}"
        tail = f'\n\n(Say "go on" for the next lines, or ask for "{following}".)'
    return f"{path}, {which} of {text.total}:\n\n{body}{tail}", text.text + "\n"


def count(intent: Count, talk: Talk) -> Answer:
    """Answer how many lines, words and the like there are."""
    if intent.target.answer:
        return Answer(f"My last answer has {_counted(intent.units, _counts_of(talk.last_answer or ''))}.")
    meant = talk.meant(intent.target)
    paths = meant.paths[:100]
    rows = [
        (path, numbers) for path, numbers in zip(paths, _all_counts(intent.units, paths, talk), strict=True) if numbers
    ]
    if not rows:
        outcome = talk.desk.ask(("count", {"path": paths[0]}))[0]
        raise CannotTell(_sentence(outcome.text))
    if len(paths) == 1:
        if "line" not in rows[0][1] and "byte" in rows[0][1] and set(intent.units) != {"byte"}:
            return Answer(
                meant.noted(f"{rows[0][0]} is a binary file; it has {plural(rows[0][1]['byte'], 'byte')}."), paths
            )
        return Answer(meant.noted(f"{rows[0][0]} has {_counted(intent.units, rows[0][1])}."), paths)
    lines = [f"- {path}: {_counted(intent.units, numbers)}" for path, numbers in rows[:MAX_NAMES]]
    total = {unit: sum(numbers.get(unit, 0) for _path, numbers in rows) for unit in intent.units}
    together = f"Together, the {len(rows)} files have {_counted(intent.units, total)}."
    tail = (
        [] if len(meant.paths) == len(paths) else [f"(These are the first {len(paths)} of {len(meant.paths)} files.)"]
    )
    if len(rows) > MAX_COUNTED:
        unit = next(unit for unit in intent.units)
        top = sorted(rows, key=lambda row: (-row[1].get(unit, 0), row[0]))[:5]
        lines = ["The largest of them:", *(f"- {path}: {_counted(intent.units, numbers)}" for path, numbers in top)]
        return Answer(meant.noted("\n".join([together, *lines, *tail])), paths)
    return Answer(meant.noted("\n".join([*lines, together, *tail])), paths)


_TEXT_UNITS = {"sentence", "paragraph", "row", "column", "heading", "function", "class", "method"}


def _all_counts(units: Sequence[str], paths: Sequence[str], talk: Talk) -> list[dict[str, int]]:
    counts = talk.desk.count(paths) if set(units) - _TEXT_UNITS else [{} for _path in paths]
    if _TEXT_UNITS.intersection(units):
        texts = talk.desk.read_all(paths)
        counts = [{**numbers, **_text_counts(text)} for numbers, text in zip(counts, texts, strict=True)]
    return counts


def _text_counts(text: FileText) -> dict[str, int]:
    if not text.lines:
        return {}
    filled = [line for line in text.lines if line.strip()]
    delimiter = _delimiter(filled[0]) if filled else ","
    return {
        "sentence": len(prose_of(text.text, text.path)),
        "paragraph": len([part for part in re.split(r"\n\s*\n", text.text) if part.strip()]),
        "row": max(0, len(filled) - 1) if suffix_of(text.path) in ("csv", "tsv") else len(filled),
        "column": len(filled[0].split(delimiter)) if filled else 0,
        "heading": len(headings_of(text.text)),
        "function": len(_definitions(text, ("function",))),
        "class": len(_definitions(text, ("class",))),
        "method": len([line for line in text.lines if re.match(r"\s+(?:async )?def \w+", line)]),
    }


def _counts_of(text: str) -> dict[str, int]:
    return {
        "line": len(text.splitlines()),
        "word": len(text.split()),
        "character": len(text),
        "byte": len(text.encode()),
        "sentence": len(prose_of(text)),
    }


def _counted(units: Sequence[str], numbers: dict[str, int]) -> str:
    return joined(plural(numbers[unit], unit) for unit in units if unit in numbers)


def extreme(intent: Extreme, talk: Talk) -> Answer:
    """Answer which file is the longest or the smallest."""
    folder = talk.folder(intent.target.folder) if intent.target.folder else ""
    paths = talk.documents(intent.target.kind, folder) if intent.target.kind else talk.files(None, folder)
    if not paths:
        raise CannotTell("There are no such files here.")
    if intent.unit == "byte":
        sizes = {path: {"byte": talk.index.sizes.get(path, 0)} for path in paths}
    else:
        paths = paths[:200]
        sizes = dict(zip(paths, talk.desk.count(paths), strict=True))
    ranked = sorted(
        (path for path in paths if intent.unit in sizes[path]),
        key=lambda path: (-sizes[path][intent.unit] if intent.most else sizes[path][intent.unit], path),
    )
    if not ranked:
        raise CannotTell("None of the files here could be counted.")
    what = {"byte": "largest" if intent.most else "smallest", "line": "longest" if intent.most else "shortest"}.get(
        intent.unit, "one with the most words" if intent.most else "one with the fewest words"
    )
    first, *others = ranked
    next_ones = joined(f"{path} ({plural(sizes[path][intent.unit], intent.unit)})" for path in others[:2])
    tail = f" Next {'come' if len(others) > 1 else 'comes'} {next_ones}." if others else ""
    noun = f"{kind_name(intent.target.kind).removesuffix('s')}" if intent.target.kind else "file"
    what = f"{what} {noun}" if "one" not in what else what
    return Answer(
        f"The {what} is {first} with {plural(sizes[first][intent.unit], intent.unit)}.{tail}", (first, *others[:2])
    )


def occurrences(intent: Occurrences, talk: Talk) -> Answer:
    """Answer how many times a text occurs."""
    scope = "."
    if not intent.target.is_empty and not intent.target.project:
        meant = talk.meant(intent.target)
        if len(meant.paths) > 1:
            return _occurrences_in(intent.phrase, meant.paths, talk)
        scope = meant.paths[0]
    hits = talk.desk.search(intent.phrase, scope, ignore_case=True)
    texts = {path: talk.desk.read_all([path])[0] for path in sorted({hit.path for hit in hits})[:20]}
    times = sum(text.text.casefold().count(intent.phrase.casefold()) for text in texts.values())
    where = f"in {scope}" if scope != "." else "here"
    if not hits:
        return Answer(f'"{intent.phrase}" does not occur {where}.', (scope,) if scope != "." else ())
    files = sorted({hit.path for hit in hits})
    spread = f", in {plural(len(files), 'file')}: {joined(files, most=6)}" if scope == "." else ""
    times = max(times, len(hits))
    lines = plural(len(hits), "line")
    said = f'"{intent.phrase}" occurs {_times(times)} {where}, on {lines}{spread} (upper and lower case alike).'
    return Answer(said, tuple(files))


def _occurrences_in(phrase: str, paths: Sequence[str], talk: Talk) -> Answer:
    texts = talk.desk.read_all(talk.readable(paths)[:20])
    counts = {text.path: text.text.casefold().count(phrase.casefold()) for text in texts}
    lines = [f"- {path}: {_times(number)}" for path, number in counts.items() if number]
    if not lines:
        return Answer(f'"{phrase}" does not occur in {joined(counts)}.')
    return Answer("\n".join([f'"{phrase}" occurs {_times(sum(counts.values()))}:', *lines]), tuple(counts))


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def outline(intent: Outline, talk: Talk) -> Answer:
    """Answer with the headings, the definitions or the columns of a file."""
    meant = talk.meant(intent.target)
    texts = talk.desk.read_all(talk.readable(meant.paths)[:8])
    parts = [_outlined(text, intent.what) for text in texts]
    return Answer(meant.noted("\n\n".join(parts)), meant.paths)


def _outlined(text: FileText, what: str) -> str:
    if not text.lines:
        return _sentence(text.note)
    suffix = suffix_of(text.path)
    if suffix in ("csv", "tsv"):
        first = next((line for line in text.lines if line.strip()), "")
        columns = [name.strip().strip('"') for name in first.split(_delimiter(first))]
        return f"{text.path} has {plural(len(columns), 'column')}: {joined(columns, most=40)}."
    if re.search(r"function|class|method|definition|import", what) or suffix in ("py", "js", "ts", "go", "rs", "java"):
        return _defined(text, what)
    if suffix in ("toml", "ini", "cfg", "json", "yaml", "yml"):
        keys = re.findall(r"^(?:  )?[\"']?([\w.-]+)[\"']?\s*[:=]|^\[+([\w.\" -]+)\]+", text.text, re.MULTILINE)
        return f"{text.path} has the keys {joined([key or table for key, table in keys], most=40)}."
    headings = headings_of(text.text)
    if not headings:
        return f"{text.path} has no headings."
    listed = [f"- {title} (line {line})" for line, title in headings[:MAX_NAMES]]
    return "\n".join([f"{text.path} has {plural(len(headings), 'heading')}:", *listed])


def _defined(text: FileText, what: str) -> str:
    kinds = tuple(kind for kind in ("function", "class", "import") if kind in what) or ("class", "function")
    if "method" in what:
        kinds = ("function",)
    found = _definitions(text, kinds)
    if not found:
        names = joined((plural(2, kind).removeprefix("2 ") for kind in kinds), "or")
        return f"{text.path} defines no {names} that I can see."
    return "\n".join([f"{text.path}:", *(f"- {name} (line {line})" for line, name in found[:MAX_NAMES])])


_DEFINED = {
    "class": re.compile(r"^\s*(?:export |public |abstract |final |pub )*(?:class|struct|interface|enum|trait)\s+(\w+)"),
    "function": re.compile(
        r"^\s*(?:export |public |private |static |async |pub |default )*(?:def|function|func|"
        r"fn)\s+(?:\([^)]*\)\s*)?(\w+)"
    ),
    "import": re.compile(r"^\s*(?:import|from|use|#include)\s+([\w.<>\"/:@-]+)"),
}


def _definitions(text: FileText, kinds: Sequence[str]) -> list[tuple[int, str]]:
    found = []
    for number, line in enumerate(text.lines, text.first):
        for kind in kinds:
            defined = _DEFINED[kind].match(line)
            if defined:
                found.append((number, f"{kind} {defined.group(1)}" if len(kinds) > 1 else defined.group(1)))
    return found


def _delimiter(line: str) -> str:
    return max(",;\t|", key=line.count)


def _are(number: int, noun: str) -> str:
    return f"{'is' if number == 1 else 'are'} {plural(number, noun) if number else f'no {noun}s'}"


def _sentence(text: str) -> str:
    text = text.strip()
    text = (
        text[:1].upper() + text[1:]
        if re.match(r"[a-z]+ ", text) and not re.match(r"\S*[./]", text.split(" ")[0])
        else text
    )
    return text if text.endswith((".", "!", "?")) else f"{text}."
