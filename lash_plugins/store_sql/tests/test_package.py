from importlib.resources import files

import lash_store_sql


def test_type_checkers_see_the_annotations() -> None:
    assert (files(lash_store_sql) / "py.typed").is_file()
