"""Where the example data lies: inside an installed package, or beside the sources in a checkout."""

from __future__ import annotations

from pathlib import Path

from apportion.errors import NotFound

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "examples", _PACKAGE.parent.parent / "examples")


def sample(name: str) -> Path:
    """The folder of an example, such as ``quickstart``.

    Raises:
        NotFound: this installation came without it.
    """
    for place in _PLACES:
        if (place / name / "catalog.toml").is_file():
            return place / name
    raise NotFound(f"The example {name!r} did not come with this installation. Install the released package again.")
