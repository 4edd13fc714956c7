"""The reference of the hook API: each module stands on one page, and each page in the navigation."""

import re
import tomllib
from collections import Counter

from tests.docs.pages import ROOT

PAGES = sorted((ROOT / "docs/reference/lash_hookspecs").glob("*.md"))
SOURCES = ROOT / "hookspecs/src"


def public_modules() -> set[str]:
    """Name the modules and packages that say something is public; of `testing` the package, which shows the rest."""
    files = [path for path in SOURCES.rglob("*.py") if re.search(r"^__all__ =", path.read_text("utf-8"), re.MULTILINE)]
    names = {".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__") for path in files}
    return {name for name in names if not name.startswith("lash_hookspecs.testing.") and "._" not in name}


def test_each_module_of_the_hook_api_is_told_on_one_page() -> None:
    told = Counter(name for page in PAGES for name in re.findall(r"^::: (\S+)", page.read_text("utf-8"), re.MULTILINE))
    assert [name for name, pages in told.items() if pages > 1] == []
    assert public_modules() <= set(told)


def test_each_page_of_the_reference_can_be_found() -> None:
    navigation = str(tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"])
    index = (ROOT / "docs/reference/lash_hookspecs/index.md").read_text("utf-8")
    for page in PAGES:
        assert f"'reference/lash_hookspecs/{page.name}'" in navigation
        assert page.name == "index.md" or f"({page.name})" in index
