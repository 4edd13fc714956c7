from importlib.resources import files

import lash_hookspecs


def test_type_checkers_see_the_annotations() -> None:
    assert (files(lash_hookspecs) / "py.typed").is_file()
