from importlib.resources import files

import lash_basics


def test_type_checkers_see_the_annotations() -> None:
    assert (files(lash_basics) / "py.typed").is_file()
