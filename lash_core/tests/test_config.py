"""Settings: which source wins, where each value came from, what is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from lash_core.config import Settings, load_settings, locate_store, make_default_store
from lash_core.plugins import PluginSettings
from lash_hookspecs.errors import ConfigurationError, StoreUnavailable


def load(folder: Path, flags: dict[str, str | None] | None = None, **environ: str) -> Settings:
    return load_settings(flags, environ=environ, cwd=folder)


def test_nothing_said_means_defaults_that_say_so(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.store, settings.model, settings.mode, settings.root) == (None, None, None, tmp_path)
    assert set(settings.sources.values()) == {"default"}
    assert settings.file is None


def test_a_flag_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "lash.toml"
    file.write_text('[lash]\nmodel = "file"\nmode = "file"\nstore = "memory:file"\n')
    settings = load(tmp_path, {"model": "flag", "mode": None}, LASH_MODEL="environment", LASH_MODE="environment")
    assert (settings.model, settings.mode, settings.store) == ("flag", "environment", "memory:file")
    assert settings.sources == {
        "model": "--model",
        "mode": "LASH_MODE",
        "store": str(file),
        "tenant": "default",
        "root": "default",
        "host": "default",
    }


def test_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, LASH_MODEL="").sources["model"] == "default"


def test_an_empty_flag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, {"store": ""})
    assert str(caught.value) == "--store: store is empty"


def test_the_nearest_file_upwards_wins_and_a_pyproject_counts_if_it_speaks_of_lash(tmp_path: Path) -> None:
    (tmp_path / "lash.toml").write_text('[lash]\nmodel = "far"\n')
    middle = tmp_path / "middle"
    low = middle / "low"
    low.mkdir(parents=True)
    (low / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert load(low).model == "far"
    (middle / "pyproject.toml").write_text('[tool.lash]\nmodel = "near"\n')
    assert load(low).model == "near"


def test_a_broken_pyproject_of_another_tool_is_none_of_our_business(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other\n")
    assert load(tmp_path).file is None


def test_paths_in_a_file_are_relative_to_it_and_others_to_the_current_folder(tmp_path: Path) -> None:
    low = tmp_path / "low"
    low.mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "lash.toml").write_text('[lash]\nroot = "docs"\nstore = "sqlite:///a.db"\n')
    settings = load(low)
    assert settings.root == tmp_path / "docs"
    assert settings.store == f"sqlite:///{tmp_path}/a.db"
    assert load(low, LASH_STORE="sqlite:///b.db").store == "sqlite:///b.db"
    assert load(tmp_path).store == "sqlite:///a.db"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[lash", "Expected ']' at the end of a table declaration (at end of document)"),
        ('model = "x"', "unknown key 'model'"),
        ('[lash]\nmodell = "x"', "unknown key 'lash.modell'; did you mean 'model'?"),
        ("[lash]\nmodel = 3", "lash.model must be a string"),
        ("[lash]\nplugins = 3", "lash.plugins must be a table"),
        ("[lash.plugins]\ndisable = []", "unknown key 'lash.plugins.disable'; did you mean 'disabled'?"),
        ('[lash.plugins]\ndisabled = "x"', "lash.plugins.disabled must be a list of plugin names"),
        ("[lash.plugins]\nrequire = []", "unknown key 'lash.plugins.require'; did you mean 'required'?"),
        (
            "[lash.plugins]\ndefault_deny = true",
            "unknown key 'lash.plugins.default_deny'; did you mean 'default-deny'?",
        ),
        ("[lash.plugins]\ndefault-deny = 1", "lash.plugins.default-deny must be true or false"),
        ('[lash.plugins]\nallow = ["a", ""]', "lash.plugins.allow must be a list of plugin names"),
        ('[lash.plugins]\nlocal-plugins = "a.py"', "lash.plugins.local-plugins must be a list of paths"),
        ("[lash.stores]\nredis = 3", "lash.stores.redis must be a URL or the name of a distribution"),
        ("[lash.plugin]\nmine = 3", "lash.plugin.mine must be a table"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "lash.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{file}: {told}"


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, {"root": "nowhere"})
    assert str(caught.value) == f"--root: the root '{tmp_path}/nowhere' is not a folder"


def test_what_is_said_about_plugins(tmp_path: Path) -> None:
    (tmp_path / "lash.toml").write_text(
        '[lash.plugins]\ndisabled = ["a", "dist/b"]\n[lash.stores]\nredis = "lash-redis"\n'
        '[lash.plugin.mine]\npassword = "canary"\n'
    )
    settings = load(tmp_path)
    assert settings.plugins == PluginSettings(
        disabled=("a", "dist/b"),
        file=tmp_path / "lash.toml",
        settled={"stores": {"redis": "lash-redis"}},
        tables={"mine": {"password": "canary"}},
    )
    assert "canary" not in repr(settings)


def test_local_plugins_are_relative_to_the_file_that_names_them_and_its_table_is_told(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[tool.lash.plugins]\nlocal-plugins = ["a.py", "/b/c.py", "~/d.py"]\nallow = []\ndefault-deny = true\n'
    )
    low = tmp_path / "low"
    low.mkdir()
    plugins = load(low).plugins
    assert plugins.local_plugins == (tmp_path / "a.py", Path("/b/c.py"), Path.home() / "d.py")
    assert (plugins.allow, plugins.default_deny) == ((), True)
    assert plugins.where("deny") == f"[tool.lash.plugins] deny of {file}"


def test_a_password_in_a_store_url_is_not_in_a_repr(tmp_path: Path) -> None:
    settings = load(tmp_path, LASH_STORE="postgresql://me:canary@host/db")
    shown = repr(settings) + repr(locate_store(settings, cwd=tmp_path))
    assert "canary" not in shown
    assert "postgresql://me:***@host/db" in shown


def test_a_named_store_is_taken_as_it_is(tmp_path: Path) -> None:
    location = locate_store(load(tmp_path, LASH_STORE="memory:"), cwd=tmp_path)
    assert (location.url, location.exists, location.came_from, location.path) == ("memory:", True, "LASH_STORE", None)


def test_the_default_store_is_made_once_and_private(tmp_path: Path) -> None:
    location = locate_store(Settings(), cwd=tmp_path)
    path = tmp_path / ".lash" / "sessions.db"
    assert (location.url, location.exists, location.came_from) == (f"sqlite:///{path}", False, "default")
    make_default_store(location)
    make_default_store(location)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (path.parent / ".gitignore").read_text() == "*\n"
    assert not locate_store(Settings(), cwd=tmp_path).exists  # a file without a byte is no store yet
    path.write_bytes(b"x")
    assert locate_store(Settings(), cwd=tmp_path).exists


def test_the_default_store_is_found_upwards(tmp_path: Path) -> None:
    (tmp_path / ".lash").mkdir()
    low = tmp_path / "a" / "b"
    low.mkdir(parents=True)
    assert locate_store(Settings(), cwd=low).path == tmp_path / ".lash" / "sessions.db"


def test_a_default_store_that_cannot_be_made_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    location = locate_store(Settings(), cwd=tmp_path / "file")
    with pytest.raises(StoreUnavailable) as caught:
        make_default_store(location)
    assert str(caught.value) == (
        f"the default store {tmp_path}/file/.lash/sessions.db cannot be made: Not a directory; "
        "go to a folder that you can write to, or name a store with --store"
    )


def named(tmp_path: Path, stores: str, *, store: str = "prod", **environ: str) -> Settings:
    (tmp_path / "lash.toml").write_text(f"[lash.stores]\n{stores}\n")
    return load_settings({"store": store}, environ=environ, cwd=tmp_path)


def test_a_store_is_named_by_the_file_and_chosen_by_its_name(tmp_path: Path) -> None:
    settings = named(tmp_path, 'prod = "postgresql://db/agents"\nredis = "lash-redis"')
    assert (settings.store, settings.store_name, settings.sources["store"]) == (
        "postgresql://db/agents",
        "prod",
        "--store",
    )
    assert locate_store(settings).shown == "prod"
    assert settings.plugins.settled == {"stores": {"redis": "lash-redis"}}


def test_a_url_is_no_name(tmp_path: Path) -> None:
    settings = named(tmp_path, 'prod = "postgresql://db/agents"', store="redis://ann:secret@db")
    assert (settings.store, settings.store_name) == ("redis://ann:secret@db", None)
    assert locate_store(settings).shown == "redis://ann:***@db"


def test_the_environment_fills_in_what_a_url_leaves_open(tmp_path: Path) -> None:
    url = 'prod = "postgresql://ann:${DB_PASSWORD}@${HOST}/agents"'
    settings = named(tmp_path, url, DB_PASSWORD="a:b/c?d@e%", HOST="db")
    assert settings.store == "postgresql://ann:a%3Ab%2Fc%3Fd%40e%25@db/agents"
    assert "a%3Ab" not in repr(settings)
    whole = named(tmp_path, 'prod = "${DATABASE_URL}"', DATABASE_URL="postgresql://ann:x@db/agents?sslmode=require")
    assert whole.store == "postgresql://ann:x@db/agents?sslmode=require"


def test_a_variable_that_is_not_set_is_told_when_the_store_is_used(tmp_path: Path) -> None:
    stores = 'prod = "postgresql://ann:${DB_PASSWORD}@db/agents"\nother = "postgresql://db/other"'
    assert named(tmp_path, stores, store="other").store == "postgresql://db/other"
    with pytest.raises(ConfigurationError) as caught:
        named(tmp_path, stores)
    assert str(caught.value) == f"{tmp_path / 'lash.toml'}: lash.stores.prod: the environment has no DB_PASSWORD"


def test_a_name_that_no_store_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        named(tmp_path, 'prod = "postgresql://db/agents"\ntest = "memory:"', store="prd")
    assert str(caught.value) == "--store: there is no store 'prd' among prod, test; did you mean 'prod'?"


def test_a_named_file_is_relative_to_the_settings(tmp_path: Path) -> None:
    (tmp_path / "lash.toml").write_text('[lash]\nstore = "here"\n[lash.stores]\nhere = "sqlite:///a.db"\n')
    (tmp_path / "below").mkdir()
    settings = load_settings(environ={}, cwd=tmp_path / "below")
    assert settings.store == f"sqlite:///{tmp_path / 'a.db'}"
