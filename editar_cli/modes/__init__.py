"""Condition maps: what a picture looks like as edges, depth or regions.

Each mode is one module of this package that defines ``MODE``; a new one is its file and its name in
``NAMES``. Nothing is imported before a mode is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from editar_cli.errors import UsageError

if TYPE_CHECKING:
    from editar_cli.modes._mode import Mode

NAMES = ("canny", "depth", "segmentation", "hed")
"""All modes, the published ones first."""


def load_mode(name: str) -> "Mode":
    """The mode of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in NAMES:
        raise UsageError(f"--mode {name}: must be one of {', '.join(NAMES)}")
    mode: Mode = import_module(f"editar_cli.modes.{name}").MODE
    return mode
