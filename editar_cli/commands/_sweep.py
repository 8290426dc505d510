"""Commands of ``editar bench`` that run over a grid of settings: ``--sweep`` and ``--dry-run``."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import typer

from editar_cli import options
from editar_cli.console import Messages
from editar_cli.errors import UsageError
from editar_cli.flags import Group

if TYPE_CHECKING:
    from editar_cli.benchmarks.sweep import GridPoint
    from editar_cli.editor import Editor

POINT = "point.json"
"""In the folder of a point: what its run was asked."""

# What a grid may go over; a command offers those of its own flags that are here.
SWEPT = (
    *("guidance", "image-guidance", "guidance-interval", "temperature", "top-k", "top-p"),
    *("seed", "model", "strategy", "dtype", "quantize", "fit", "preserve"),
)

# What changes no result, and where results go.
_UNASKED = ("output", "overwrite", "quiet", "device", "batch_size", "dry_run", "sweep")


class Loaded:
    """What several runs share: a model is loaded once for all that use it one after the other."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._editor: Editor | None = None

    def editor(self, models: options.ModelOptions, strategy: options.Strategy) -> "Editor":
        """The model that is asked for.

        Raises:
            EditarError: as ``Editor.load``.
        """
        lora = tuple(choice.identity for choice in models.adapters)
        key = (models.model, models.device, models.dtype, models.quantize, lora, strategy)
        if self._editor is None or key != self._key:
            # The one before goes first: two may not fit.
            self._editor = None
            self._editor = models.load(strategy)
            self._key = key
        return self._editor


def with_sweep(command: Callable[..., None]) -> Callable[..., None]:
    """A command of a benchmark that can be run for every point of a grid.

    Args:
        command: has the parameters ``output``, ``overwrite``, ``quiet``, ``dry_run`` and
            ``loaded``, a ``Loaded`` that is no flag; leaves ``results.json`` in ``output``.

    Returns:
        What ``with_groups`` takes: the same with ``--sweep`` and without ``loaded``.
    """
    hints = get_type_hints(command, include_extras=True)
    every = inspect.signature(command).parameters.values()
    own = [parameter for parameter in every if parameter.name != "loaded"]
    kinds = _kinds({parameter.name: hints[parameter.name] for parameter in own})

    def run(*, sweep: list[str] | None, **values: Any) -> None:
        if sweep:
            _run_grid(command, sweep, values, kinds)
        else:
            command(**values, loaded=Loaded())

    added = inspect.Parameter(
        "sweep", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=options.SweepOption
    )
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), added]
    )
    run.__annotations__ = {**{p.name: hints[p.name] for p in own}, "sweep": options.SweepOption}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _kinds(hints: Mapping[str, Any]) -> dict[str, type]:
    """Flag -> type of its values, of those flags that a grid may go over."""
    flat: dict[str, Any] = {}
    for name, hint in hints.items():
        if isinstance(hint, type) and issubclass(hint, Group):
            of_group = get_type_hints(hint, include_extras=True)
            flat.update({field.name: of_group[field.name] for field in fields(hint)})  # type: ignore[arg-type]
        else:
            flat[name] = hint
    kinds = {}
    for flag in SWEPT:
        if (hint := flat.get(flag.replace("-", "_"))) is not None:
            kind = get_args(hint)[0]
            kinds[flag] = next((k for k in get_args(kind) if k is not NoneType), kind)
    return kinds


def _typed(flag: str, text: str, kind: type) -> Any:
    """A value as its flag would have it.

    Raises:
        UsageError: it cannot be one.
    """
    if kind is bool:
        if text not in ("true", "false"):
            raise UsageError(f"--sweep {flag}={text}: must be true or false")
        return text == "true"
    try:
        return kind(text)
    except ValueError as error:
        allowed = ", ".join(kind) if issubclass(kind, Enum) else "a number"
        raise UsageError(f"--sweep {flag}={text}: must be {allowed}") from error


def _at(point: "GridPoint", values: Mapping[str, Any], kinds: Mapping[str, type]) -> dict[str, Any]:
    """The values of a command's parameters at a point.

    Raises:
        UsageError: one is out of range.
    """
    changed = dict(values)
    for flag, text in point.values.items():
        name, value = flag.replace("-", "_"), _typed(flag, text, kinds[flag])
        if name in changed:
            changed[name] = value
        else:
            home = next(n for n, v in changed.items() if isinstance(v, Group) and hasattr(v, name))
            changed[home] = replace(changed[home], **{name: value})
    return {**changed, "output": changed["output"] / point.folder}


def _run_grid(
    command: Callable[..., None],
    words: list[str],
    values: dict[str, Any],
    kinds: Mapping[str, type],
) -> None:
    """Run what is not there yet of a grid, then write its table and plot."""
    from editar_cli.benchmarks.sweep import (
        PLOT,
        SweepResult,
        grid,
        parse_axes,
        read_point,
        write_sweep,
    )

    axes = parse_axes(words, list(kinds))
    points = grid(axes)
    output: Path = values["output"]
    messages = Messages(quiet=values["quiet"])
    # All of them before any runs: a wrong value in the last is told now.
    asked = [_at(point, values, kinds) for point in points]
    states = [values["overwrite"] or not _is_done(one) for one in asked]
    if values["dry_run"]:
        command(**asked[0], loaded=Loaded())
        for one, point, todo in zip(asked, points, states, strict=True):
            print(f"{one['output']}: {point.title}: {'to do' if todo else 'is there'}")
        return
    loaded = Loaded()
    failed = False
    for number, (one, point, todo) in enumerate(zip(asked, points, states, strict=True), 1):
        messages.info(f"{number} of {len(points)}: {point.title}{'' if todo else ': is there'}")
        if not todo:
            continue
        _write_point(one)
        try:
            command(**one, loaded=loaded)
        except typer.Exit as leaving:
            # Some pictures failed; the others and the other points have their figures.
            failed = failed or leaving.exit_code != 0
    result = SweepResult(
        axes=axes, points=[read_point(output / point.folder, point) for point in points]
    )
    write_sweep(output, result)
    messages.table(*result.table())
    if missing := result.missing():
        messages.warning(f"no plot: {' and '.join(missing)} could not be computed")
    else:
        messages.info(f"the plot: {output / PLOT}")
    print(json.dumps({**result.record(), "output": str(output)}, ensure_ascii=False))
    if failed:
        raise typer.Exit(1)


def _is_done(values: Mapping[str, Any]) -> bool:
    """Whether the run of a point is there, made with the same flags and the same model.

    Raises:
        UsageError: a run is there that was not.
    """
    from editar_cli.benchmarks.report import RESULTS, bundle_sums
    from editar_cli.checkpoints.registry import resolve_model

    folder: Path = values["output"]
    try:
        before = json.loads((folder / POINT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (folder / RESULTS).exists():
            raise UsageError(
                f"{folder}: holds a run that is not of a sweep; choose another -o, or --overwrite"
            ) from None
        return False
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / POINT}: cannot be read; --overwrite begins again") from error
    if before != _asked(values):
        raise UsageError(
            f"{folder}: holds a run with other settings (see {POINT}); choose another -o, or "
            "--overwrite"
        )
    if not (folder / RESULTS).is_file():
        return False
    sums = json.loads((folder / RESULTS).read_text(encoding="utf-8")).get("bundle")
    if sums != bundle_sums(resolve_model(values["models"].model)):
        raise UsageError(
            f"{folder}: holds a run with another version of the model; choose another -o, or "
            "--overwrite"
        )
    return True


def _asked(values: Mapping[str, Any]) -> dict[str, object]:
    """What the results of a run depend on, by flag, for JSON."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(vars(value) if isinstance(value, Group) else {name: value})
    text = json.dumps({n: v for n, v in flat.items() if n not in _UNASKED}, default=str)
    found: dict[str, object] = json.loads(text)
    return found


def _write_point(values: Mapping[str, Any]) -> None:
    from editar_cli.images import write_image

    text = json.dumps(_asked(values), indent=1, ensure_ascii=False)
    write_image(values["output"] / POINT, (text + "\n").encode())
