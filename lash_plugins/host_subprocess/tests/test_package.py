from importlib.resources import files

import lash_host_subprocess


def test_type_checkers_see_the_annotations() -> None:
    assert (files(lash_host_subprocess) / "py.typed").is_file()
