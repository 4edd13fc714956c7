from importlib.resources import files

import lash_provider_pydantic_ai


def test_type_checkers_see_the_annotations() -> None:
    assert (files(lash_provider_pydantic_ai) / "py.typed").is_file()
