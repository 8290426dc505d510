"""Where this program keeps files of its own."""

import os
import sys
from pathlib import Path


def home() -> Path:
    """The folder of converted models and compiled kernels: ``$EDITAR_HOME``, else in this user's
    cache folder."""
    if given := os.environ.get("EDITAR_HOME"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "editar"
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / ".cache") / "editar"
