"""Where the model that comes with this package lies."""

from pathlib import Path

EMBEDDED = "mini"
CONFIG = "config.json"
DEPTH = "depth.safetensors"
"""A bundle's small depth network, where it has one."""


def embedded_folder() -> Path | None:
    """The embedded model: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_weights" / EMBEDDED, package.parent / "weights" / EMBEDDED):
        if (folder / CONFIG).is_file():
            return folder
    return None


def example_pictures() -> Path | None:
    """The folder of example pictures: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_examples", package.parent / "examples"):
        if (folder / "mountain.jpg").is_file():
            return folder
    return None
