"""A plugin's settings, read by its model: what is unknown or wrong is told with its place, and never a secret."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.settings import Setting, SettingsTable
from lash_hookspecs.specs.offers import OfferContext
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

SECRET = "hunter2"


class Server(BaseModel):
    host: str = "localhost"
    port: int = 6379


class Redis(BaseModel):
    url: str = "redis://localhost"
    timeout: float = 5.0
    servers: list[Server] = []
    main: Server = Server()
    password: SecretStr = SecretStr("")
    kind: Literal["fast", "safe"] = "safe"
    by_name: dict[str, Server] = {}
    other: Server | None = None
    cache: Path = Field(default=Path(), alias="cache-dir")

    @field_validator("password")
    @classmethod
    def long_enough(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() == SECRET:
            raise ValueError(f"{SECRET} is too short")
        return value


def table(values: Mapping[str, Any], **variables: str) -> SettingsTable:
    return SettingsTable(values, plugin="my-redis", file="/x/lash.toml", variables=variables)


def test_the_file_is_read_over_the_models_defaults() -> None:
    read = table({"timeout": 2, "main": {"port": 1}}).read(Redis)
    assert (read.timeout, read.main, read.url) == (2.0, Server(port=1), "redis://localhost")


def test_a_variable_is_read_over_the_file_within_a_model_too() -> None:
    read = table(
        {"timeout": 2, "main": {"port": 1, "host": "a"}},
        LASH_PLUGIN__MY_REDIS__TIMEOUT="9",
        LASH_PLUGIN__MY_REDIS__MAIN__PORT="7",
        LASH_PLUGIN__MY_REDIS__OTHER__HOST="b",
        LASH_PLUGIN__MY_REDIS__SERVERS='[{"port": 3}]',
        LASH_PLUGIN__MY_REDIS__URL="",
        LASH_PLUGIN__OTHER__NOTHING="1",
    ).read(Redis)
    assert (read.timeout, read.main, read.other) == (9.0, Server(host="a", port=7), Server(host="b"))
    assert (read.servers, read.url) == ([Server(port=3)], "redis://localhost")


def test_reading_does_not_change_what_the_file_said_and_gives_the_same_object_again() -> None:
    values = {"main": {"port": 1}}
    once = table(values, LASH_PLUGIN__MY_REDIS__MAIN__PORT="7")
    assert once.read(Redis) is once.read(Redis)
    assert values == {"main": {"port": 1}}
    assert dict(once) == values


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"timout": 1}, "unknown key 'lash.plugin.my-redis.timout'; did you mean 'timeout'?"),
        ({"main": {"prot": 1}}, "unknown key 'lash.plugin.my-redis.main.prot'; did you mean 'port'?"),
        ({"servers": [{}, {"x": 1}]}, "unknown key 'lash.plugin.my-redis.servers.1.x'"),
        ({"by_name": {"a": {"hots": ""}}}, "unknown key 'lash.plugin.my-redis.by_name.a.hots'; did you mean 'host'?"),
        ({"other": {"hots": ""}}, "unknown key 'lash.plugin.my-redis.other.hots'; did you mean 'host'?"),
        ({"cache": "x"}, "unknown key 'lash.plugin.my-redis.cache'; did you mean 'cache-dir'?"),
        (
            {"main": {"port": "many"}, "kind": "x"},
            "lash.plugin.my-redis.main.port: Input should be a valid integer, unable to parse string as an integer; "
            "/x/lash.toml: lash.plugin.my-redis.kind: Input should be 'fast' or 'safe'",
        ),
        ({"password": SECRET}, "lash.plugin.my-redis.password: Value error, ********** is too short"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_the_path(values: Mapping[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        table(values).read(Redis)
    assert str(caught.value) == f"/x/lash.toml: {told}"
    assert caught.value.plugin == "my-redis"
    assert caught.value.__cause__ is None
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TIMOUT", "1", "plugin 'my-redis' has no setting 'timout'; did you mean 'timeout'?"),
        ("URL__HOST", "1", "the setting 'url' of plugin 'my-redis' has nothing below it"),
        ("SERVERS", "a,b", 'must be JSON, such as ["a", "b"] or {"key": 1}'),
        (
            "MAIN__PORT",
            "many",
            "lash.plugin.my-redis.main.port: Input should be a valid integer, unable to parse string as an integer",
        ),
        ("PASSWORD", SECRET, "lash.plugin.my-redis.password: Value error, ********** is too short"),
    ],
)
def test_what_is_wrong_in_a_variable_is_told_with_its_name(name: str, value: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        table({}, **{f"LASH_PLUGIN__MY_REDIS__{name}": value}).read(Redis)
    assert str(caught.value) == f"LASH_PLUGIN__MY_REDIS__{name}: {told}"


def test_a_value_that_is_missing_is_told() -> None:
    class Needs(BaseModel):
        url: str

    with pytest.raises(ConfigurationError) as caught:
        table({}).read(Needs)
    assert str(caught.value) == "/x/lash.toml: lash.plugin.my-redis.url is missing"
    with pytest.raises(ConfigurationError) as caught:
        OfferContext(api="0.1", settings={}).settings_as(Needs)
    assert str(caught.value) == "url is missing"


def test_a_model_that_fails_is_told_without_the_secret() -> None:
    class Fails(BaseModel):
        password: SecretStr

        @field_validator("password")
        @classmethod
        def explode(cls, value: SecretStr) -> SecretStr:
            raise RuntimeError(value.get_secret_value())

    with pytest.raises(ConfigurationError) as caught:
        table({"password": SECRET}).read(Fails)
    assert str(caught.value) == "/x/lash.toml: lash.plugin.my-redis: Fails failed with RuntimeError: **********"
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_model_that_allows_more_keys_gets_them() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        a: int = 1

    assert table({"b": 2}).read(Open).model_extra == {"b": 2}
    assert table({"b": 2}).explain(Open)[1] == Setting("b", 2, "/x/lash.toml")


def test_each_value_is_explained_and_a_secret_hidden() -> None:
    found = table(
        {"main": {"port": 1}, "url": "redis://ann:secret@db", "by_name": {"a": {"port": 2}}, "cache-dir": "/tmp"},
        LASH_PLUGIN__MY_REDIS__PASSWORD="swordfish",
        LASH_PLUGIN__MY_REDIS__MAIN__HOST="b",
    ).explain(Redis)
    assert {(each.key, str(each.value), each.source) for each in found} == {
        ("url", "redis://ann:***@db", "/x/lash.toml"),
        ("timeout", "5.0", "default"),
        ("servers", "[]", "default"),
        ("main.host", "b", "LASH_PLUGIN__MY_REDIS__MAIN__HOST"),
        ("main.port", "1", "/x/lash.toml"),
        ("password", "**********", "LASH_PLUGIN__MY_REDIS__PASSWORD"),
        ("kind", "safe", "default"),
        ("by_name", "{'a': {'host': 'localhost', 'port': 2}}", "/x/lash.toml"),
        ("other", "None", "default"),
        ("cache-dir", "/tmp", "/x/lash.toml"),
    }


def test_no_repr_shows_a_value() -> None:
    secret = table({"password": SECRET}, LASH_PLUGIN__MY_REDIS__URL="redis://swordfish")
    context = OfferContext(api="0.1", settings=secret)
    assert repr(context) == "OfferContext(api='0.1', settings=SettingsTable(['password']))"


def test_a_context_takes_plain_values_as_a_plugins_test_has_them() -> None:
    context = OfferContext(api="0.1", settings={"timeout": 1})
    assert context == OfferContext(api="0.1", settings={"timeout": 1})
    assert context.settings["timeout"] == 1
    assert context.settings_as(Redis).timeout == 1.0
