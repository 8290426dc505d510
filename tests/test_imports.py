"""The house's one rule of direction: a file imports from lower lines only.

Within a line only where ``WITHIN`` says so. Imports inside functions count too; those that only a
type checker sees do not.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import editar_cli

PACKAGE = Path(editar_cli.__file__).parent

# From the top of the house to its ground.
LINES = [
    {"__init__", "__main__"},
    {"cli"},
    {"commands", "options", "flags", "console"},
    {"doctor"},
    # Tries in a process of its own what the doctor must not.
    {"probes"},
    {"choosing"},
    {"editor", "translator", "benchmarks", "training", "runners"},
    {"pipeline", "batch", "checkpoints", "report", "sheets"},
    {"ledger", "discovery"},
    {"engine"},
    {"decoding", "sampling", "conditioning"},
    {
        "models",
        "images",
        "metadata",
        "containers",
        "text",
        "modes",
        "synthesis",
        "metrics",
        "geometry",
        "restoration",
        "tensorfiles",
        "lists",
        "masks",
    },
    {"errors", "config", "embedded", "folders", "overlap", "manifest", "claims", "watching"},
]
# Importer and imported of the same line.
WITHIN = {
    ("config", "errors"),
    ("commands", "options"),
    ("commands", "console"),
    ("commands", "flags"),
    ("options", "flags"),
    ("options", "console"),
    ("benchmarks", "editor"),
    ("benchmarks", "translator"),
    # Two faces of one object: a translation is made by an editor's engine.
    ("editor", "translator"),
    ("translator", "editor"),
    # A run does the jobs of a plan.
    ("pipeline", "batch"),
    ("decoding", "sampling"),
    ("decoding", "conditioning"),
    ("images", "geometry"),
    ("images", "metadata"),
    ("images", "containers"),
    ("images", "restoration"),
    ("masks", "images"),
    ("masks", "geometry"),
    # The embedded text encoder is run by models/bert.py.
    ("text", "models"),
    ("text", "tensorfiles"),
    # Synthetic pairs include those from a condition map to its photograph.
    ("synthesis", "modes"),
    # The small depth network is run by models/depth.py.
    ("modes", "models"),
}
LINE = {name: number for number, names in enumerate(LINES) for name in names}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(file: Path) -> str:
    """The stage or folder a file belongs to."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_modules(file: Path) -> Iterator[tuple[int, str]]:
    """(line number, absolute module) of every import in a file, wherever it stands."""
    package = ["editar_cli", *file.relative_to(PACKAGE).parent.parts]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def imported_parts(file: Path) -> Iterator[tuple[int, str]]:
    """(line number, stage or folder) of every import of our own."""
    for number, module in imported_modules(file):
        words = module.split(".")
        # `from editar_cli import __version__` names no part.
        if words[0] == "editar_cli" and len(words) > 1 and words[1] in LINE:
            yield number, words[1]


def test_every_part_of_the_package_has_its_line():
    assert {part_of(file) for file in files()} <= LINE.keys()


def test_imports_point_downwards():
    wrong = []
    for file in files():
        importer = part_of(file)
        for number, imported in imported_parts(file):
            downwards = LINE[imported] > LINE[importer] or (importer, imported) in WITHIN
            if imported != importer and not downwards:
                name = file.relative_to(PACKAGE)
                wrong.append(f"{name}:{number}: {importer} must not import {imported}")
    assert not wrong, "\n".join(wrong)


def test_the_models_know_torch_and_nothing_else():
    allowed = sys.stdlib_module_names | {"torch", "editar_cli"}
    for file in (PACKAGE / "models").glob("*.py"):
        roots = {module.split(".")[0] for _, module in imported_modules(file)}
        assert roots <= allowed, f"{file.name}: {roots - allowed}"


def test_rich_lives_in_the_console_only():
    users = {
        part_of(file)
        for file in files()
        if any(module.split(".")[0] == "rich" for _, module in imported_modules(file))
    }
    assert users == {"console"}


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_importing_the_package_has_no_side_effects():
    heavy = "{'torch', 'numpy', 'PIL', 'typer', 'rich', 'cv2', 'transformers'} & set(sys.modules)"
    assert run(f"import sys, editar_cli; print({heavy} or 'nothing')") == "nothing"


def test_the_editor_is_imported_when_asked_for():
    code = "import editar_cli; print(editar_cli.Editor.__module__)"
    assert run(code) == "editar_cli.editor"


def test_an_unknown_name_is_an_attribute_error():
    code = "import editar_cli; print(hasattr(editar_cli, 'nothing'))"
    assert run(code) == "False"
