"""Fifty plugins that must not be imported, ten of them broken in ten ways; and metadata that fight back."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BROKEN", "install", "install_dummies", "install_hostile"]

#: What a dummy does when it is imported: it takes its time, and then ends the process.
MODULE = "import dummy_slow\nraise SystemExit('imported')\n"
SLOW = "import time\ntime.sleep(0.2)\n"

_OFFERS = 'requires_api = "0.1"\n[offers]\nmodes = ["mode-{number:02}"]\n'

#: Manifests that are wrong, and how the reason begins. The last is none at all.
BROKEN: tuple[tuple[bytes | None, str], ...] = (
    (b"requires_api = ", "Invalid value"),
    (b"hooks = []", "requires_api is missing"),
    (b'requires_api = "one"', "requires_api: not a hook API version"),
    (b'requires_api = "9.9"', "needs hook API 9.9; this lash-core implements 0.1"),
    (b'requires_api = "0.1"\nhook = []', "unknown key 'hook'; did you mean 'hooks'?"),
    (b'requires_api = "0.1"\noffers = 3', "offers must be a table"),
    (b'requires_api = "0.1"\n# caf\xe9', "'utf-8' codec can't decode byte 0xe9"),
    (b'requires_api = "0.1"\nafter = ["\\u0000\\u001b[2J"]', r"after holds '\x00\x1b[2J', which cannot be printed"),
    (b'requires_api = "0.1"\n#' + b"x" * 5_000_000, "it has more than 65,536 bytes"),
    (None, "its package 'dummy_45' has no lash-plugin.toml"),
)


def install(site: Path, distribution: str, entries: str, metadata: bytes | None = None) -> Path:
    """Install a distribution of version 1.0; the folder of its metadata."""
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    told = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n".encode()
    (info / "METADATA").write_bytes(told if metadata is None else metadata)
    (info / "entry_points.txt").write_text(f"[lash.plugins]\n{entries}\n")
    return info


def install_package(site: Path, package: str, manifest: bytes | None) -> None:
    """Make a package that must not be imported."""
    (site / package).mkdir(parents=True)
    (site / package / "__init__.py").write_text(MODULE)
    if manifest is not None:
        (site / package / "lash-plugin.toml").write_bytes(manifest)


def install_dummies(site: Path) -> None:
    """Install fifty; every fifth is broken, in the order of `BROKEN`."""
    site.mkdir(parents=True, exist_ok=True)
    (site / "dummy_slow.py").write_text(SLOW)
    for number in range(50):
        manifest = BROKEN[number // 5][0] if number % 5 == 0 else _OFFERS.format(number=number).encode()
        install_package(site, f"dummy_{number:02}", manifest)
        install(site, f"dummy-{number:02}", f"plugin-{number:02} = dummy_{number:02}")


def install_hostile(site: Path) -> dict[str, str]:
    """Install what fights back; distribution/plugin → how its reason begins."""
    install_package(site, "hostile_closed", _OFFERS.format(number=99).encode())
    install(site, "closed", "closed = hostile_closed")
    (site / "hostile_closed").chmod(0)
    install(site, "latin", "latin = hostile", b"Metadata-Version: 2.1\nName: caf\xe9\n")
    with install(site, "latin-entries", "latin = hostile").joinpath("entry_points.txt").open("ab") as file:
        file.write(b"caf\xe9 = hostile\n")
    install(site, "odd", "odd = __import__('os').system('true')")
    install(site, "escape", "\x1b[2Jescape = hostile")
    install(site, "nul", "nul\0 = hostile")
    install(site, "Named-Twice", "twice = hostile_gone")
    install(site, "named-twice", "twice = hostile_gone")
    return {
        "closed/closed": "hostile_closed/lash-plugin.toml: [Errno 13] Permission denied",
        "latin/latin": "its metadata cannot be read: 'utf-8' codec can't decode byte 0xe9",
        "latin-entries/latin-entries": "its metadata cannot be read: 'utf-8' codec can't decode byte 0xe9",
        "odd/odd": """its entry point "__import__('os').system('true')" is not of the form""",
        "escape/\x1b[2Jescape": r"its entry point is named '\x1b[2Jescape', which cannot be printed",
        "nul/nul\0": r"its entry point is named 'nul\x00', which cannot be printed",
        "named-twice/twice": "its package 'hostile_gone' cannot be found",
    }
