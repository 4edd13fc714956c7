from importlib.resources import files

import lash_core


def test_type_checkers_see_the_annotations() -> None:
    assert (files(lash_core) / "py.typed").is_file()
