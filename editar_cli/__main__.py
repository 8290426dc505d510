"""``python -m editar_cli``: the same as the command ``editar``."""

from editar_cli.cli import main

if __name__ == "__main__":
    main()
