"""Edit photographs from written instructions with an autoregressive image model.

::

    from editar_cli import Editor
    Editor.load("mini").edit("mountain.jpg", "make it snowy", seed=0).save("snowy.jpg")

Importing this package does nothing: the model code is loaded when ``Editor`` is first asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from editar_cli.editor import Editor

__version__ = "0.1.0"
__all__ = ["Editor", "__version__"]


def __getattr__(name: str) -> object:
    if name == "Editor":
        from editar_cli.editor import Editor

        return Editor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
