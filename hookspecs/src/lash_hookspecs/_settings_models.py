"""Reads a plugin's settings by its pydantic model: what is unknown, what is wrong, and where each value comes from."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import attrs
from pydantic import AliasChoices, BaseModel, Secret, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from lash_hookspecs.errors import ConfigurationError, redact_url
from lash_hookspecs.settings import Setting

__all__ = ["Source", "read_model"]

M = TypeVar("M", bound=BaseModel)

Path = tuple[str | int, ...]

_HIDDEN = "**********"


@attrs.frozen
class Source:
    """What there is to read.

    Attributes:
        plugin: The plugin's name; may be empty.
        file: The file's path; may be empty.
        values: The table of the file.
        variables: Lower-case path, words joined by ``__`` → name and value of a variable.
    """

    plugin: str
    file: str
    values: Mapping[str, object] = attrs.field(repr=False)
    variables: Mapping[str, tuple[str, str]] = attrs.field(repr=False)

    def key(self, path: Path) -> str:
        """Give the path of a key as the file has it."""
        return ".".join(str(word) for word in (*(("lash", "plugin", self.plugin) if self.plugin else ()), *path))

    def error(self, text: str) -> ConfigurationError:
        """Give the error that says what is wrong."""
        return ConfigurationError(text, plugin=self.plugin or None, step="settings")

    @property
    def prefix(self) -> str:
        """The file, for the beginning of a message."""
        return f"{self.file}: " if self.file else ""


def read_model(model: type[M], source: Source) -> tuple[M, tuple[Setting, ...]]:
    """Read the settings by a model.

    Returns:
        The model's instance, and each value with where it comes from.

    Raises:
        ConfigurationError: As `SettingsTable.read`.
    """
    for path, known in _unknown(model, source.values, ()):
        raise source.error(f"{source.prefix}unknown key {source.key(path)!r}{_did_you_mean(str(path[-1]), known)}")
    told = _from_variables(model, source)
    table = _merged(source.values, told)
    try:
        instance = model.model_validate(table)
    except ValidationError as error:
        text = "; ".join(_what_is_wrong(each, source, told) for each in error.errors(include_url=False))
        raise source.error(_without(text, _secrets(model, table))) from None
    except Exception as error:  # noqa: BLE001  a validator may raise anything
        text = f"{source.prefix}{source.key(())}: {model.__name__} failed with {type(error).__name__}: {error}"
        raise source.error(_without(text, _secrets(model, table))) from None
    return instance, tuple(_explained(instance, table, (), source, {path: name for path, (name, _) in told.items()}))


def _from_variables(model: type[BaseModel], source: Source) -> dict[Path, tuple[str, object]]:
    """Give what variables say: path → name and value."""
    found: dict[Path, tuple[str, object]] = {}
    for words, (name, text) in source.variables.items():
        path, annotation = _field_of(model, words.split("__"), source, name)
        found[path] = (name, _parsed(annotation, text, source, name))
    return found


def _field_of(model: type[BaseModel], words: Sequence[str], source: Source, variable: str) -> tuple[Path, Any]:
    fields = {key.lower(): (key, field) for key, field in _fields(model).items()}
    if words[0] not in fields:
        known = [key for key, _ in fields.values()]
        raise source.error(
            f"{variable}: plugin {source.plugin!r} has no setting {words[0]!r}{_did_you_mean(words[0], known)}"
        )
    key, field = fields[words[0]]
    if len(words) == 1:
        return (key,), field.annotation
    inner = _model_in(field.annotation)
    if inner is None:
        raise source.error(f"{variable}: the setting {key!r} of plugin {source.plugin!r} has nothing below it")
    path, annotation = _field_of(inner, words[1:], source, variable)
    return (key, *path), annotation


def _parsed(annotation: Any, text: str, source: Source, variable: str) -> object:
    """Read a variable's text: JSON where the setting is a list or a table."""
    if not any(kind in (list, tuple, set, frozenset, dict) or _is_model(kind) for kind in _flat(annotation)):
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise source.error(f'{variable}: must be JSON, such as ["a", "b"] or {{"key": 1}}') from None


def _merged(values: Mapping[str, object], told: Mapping[Path, tuple[str, object]]) -> dict[str, Any]:
    table: dict[str, Any] = {key: _copy(value) for key, value in values.items()}
    for path, (_, value) in sorted(told.items(), key=lambda each: len(each[0])):
        inner = table
        for word in path[:-1]:
            below = inner.get(str(word))
            inner[str(word)] = inner = below if isinstance(below, dict) else {}
        inner[str(path[-1])] = value
    return table


def _copy(value: Any) -> Any:
    return {key: _copy(each) for key, each in value.items()} if isinstance(value, dict) else value


def _unknown(annotation: Any, value: Any, path: Path) -> Iterator[tuple[Path, Collection[str]]]:
    """Find keys that no model has, whatever the model's own habit is, unless it allows extra ones."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        yield from _unknown(arguments[0], value, path)
    elif kind in (Union, types.UnionType):
        models = [each for each in arguments if _is_model(each)]
        yield from _unknown(models[0], value, path) if len(models) == 1 else ()
    elif kind is dict and isinstance(value, Mapping):
        for key, each in value.items():
            yield from _unknown(arguments[1], each, (*path, key))
    elif kind in (list, tuple, set) and isinstance(value, list):
        for number, each in enumerate(value):
            yield from _unknown(arguments[0], each, (*path, number))
    elif _is_model(annotation) and isinstance(value, Mapping):
        fields = _fields(annotation)
        for key, each in value.items():
            if key in fields:
                yield from _unknown(fields[key].annotation, each, (*path, key))
            elif annotation.model_config.get("extra") != "allow":
                yield (*path, key), tuple(fields)


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Give the fields by the keys that they are read from."""
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        keys = _aliases(field) or [name]
        found |= dict.fromkeys([*keys, name] if by_name else keys, field)
    return found


def _aliases(field: FieldInfo) -> list[str]:
    alias = field.validation_alias if field.validation_alias is not None else field.alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias] if isinstance(alias, str) else []


def _what_is_wrong(error: Any, source: Source, told: Mapping[Path, tuple[str, object]]) -> str:
    path: Path = error["loc"]
    variable = next((told[path[:size]][0] for size in range(len(path), 0, -1) if path[:size] in told), None)
    if error["type"] == "missing":
        return f"{source.prefix}{source.key(path)} is missing"
    where = f"{variable}: " if variable else source.prefix
    return f"{where}{source.key(path)}: {error['msg']}"


def _secrets(annotation: Any, value: Any) -> Iterator[str]:
    """Find the texts that a model keeps secret."""
    if any(_is_secret(kind) for kind in _flat(annotation)):
        yield from _texts(value)
        return
    for model in (kind for kind in _flat(annotation) if _is_model(kind)):
        for each in value if isinstance(value, list) else [value]:
            for key, field in _fields(model).items() if isinstance(each, Mapping) else ():
                yield from _secrets(field.annotation, each.get(key))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)
    elif value not in (None, "", True, False):
        yield str(value)


def _without(text: str, secrets: Iterator[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def _explained(
    instance: BaseModel, table: Mapping[str, Any], path: Path, source: Source, variables: Mapping[Path, str]
) -> Iterator[Setting]:
    keys = {id(field): key for key, field in reversed(_fields(type(instance)).items()) if key in table}
    for name, field in type(instance).model_fields.items():
        key = keys.get(id(field)) or next(iter(_aliases(field)), name)
        value, here = getattr(instance, name), (*path, key)
        below = table.get(key)
        if isinstance(value, BaseModel):
            inner = below if isinstance(below, Mapping) else {}
            yield from _explained(value, inner, here, source, variables)
            continue
        named = [variables[here[:size]] for size in range(len(here), 0, -1) if here[:size] in variables]
        origin = named[0] if named else (source.file or "given") if key in table else "default"
        yield Setting(".".join(str(word) for word in here), _shown(value), origin)
    for key, value in (instance.model_extra or {}).items():
        yield Setting(".".join(str(word) for word in (*path, key)), _shown(value), source.file or "given")


def _shown(value: Any) -> object:
    if isinstance(value, BaseModel):
        return {name: _shown(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _shown(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Secret | SecretStr | SecretBytes):
        return _HIDDEN
    text = str(value)
    return redact_url(text) if "://" in text else text


def _flat(annotation: Any) -> Iterator[Any]:
    """Give all the classes that an annotation is made of."""
    arguments = get_args(annotation)
    yield get_origin(annotation) or annotation
    for each in arguments[:1] if get_origin(annotation) is Annotated else arguments:
        yield from _flat(each)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Give the one model that a setting is, may it be left out or not."""
    models = [each for each in (annotation, *get_args(annotation)) if _is_model(each)]
    return models[0] if len(models) == 1 else None


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_secret(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Secret | SecretStr | SecretBytes)


def _did_you_mean(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
