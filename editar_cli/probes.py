"""What ``editar doctor`` tries in a process of its own: ``python -m editar_cli.probes STEP...``.

A package that is broken may raise anything, print anything or end the process. Each step here
answers with one line of JSON before the next one starts, so that the reader knows which it was.

Steps: ``import:MODULE``, ``devices``, ``model``, ``edit``.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any


def main(steps: list[str]) -> None:
    """Take the steps in order; answers go to what was standard output, all else nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for step in steps:
        try:
            answer = {"step": step, "error": None, **_take(step)}
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            answer = {"step": step, "error": _one_line(error)}
        print(json.dumps(answer), file=answers, flush=True)


def _take(step: str) -> dict[str, Any]:
    if step.startswith("import:"):
        import_module(step.removeprefix("import:"))
        return {}
    return {"devices": _devices, "model": _model, "edit": _edit}[step]()


def _one_line(error: BaseException) -> str:
    from editar_cli.errors import EditarError

    words = " ".join(str(error).split())
    if not isinstance(error, EditarError):
        words = f"{type(error).__name__}: {words}"
    return words if len(words) <= 300 else f"{words[:297]}..."


def _devices() -> dict[str, Any]:
    import torch

    from editar_cli.editor import choose_device, choose_dtype

    cuda = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        cuda.append({"name": name, "free": free, "total": total})
    chosen = choose_device("auto")
    return {
        "cuda": cuda,
        "cuda_build": torch.version.cuda,
        "mps": torch.backends.mps.is_available(),
        "threads": torch.get_num_threads(),
        "auto": str(chosen),
        "dtype": str(choose_dtype("auto", chosen)).removeprefix("torch."),
    }


def _model() -> dict[str, Any]:
    """The embedded model: names and shapes of its tensors, sha256 of its files."""
    from editar_cli.checkpoints.native import verify_bundle
    from editar_cli.checkpoints.registry import resolve_model
    from editar_cli.embedded import EMBEDDED

    path = resolve_model(EMBEDDED)
    return {"path": str(path), "files": verify_bundle(path)}


def _edit() -> dict[str, Any]:
    """One small edit with the embedded model, on the device that ``auto`` takes."""
    import time

    from PIL import Image

    from editar_cli.editor import Editor
    from editar_cli.errors import ModelError

    start = time.perf_counter()
    editor = Editor.load()
    loaded = time.perf_counter()
    # Two flat halves: "black and white" has something to do in each.
    picture = Image.new("RGB", (64, 48), (190, 70, 40))
    picture.paste((40, 110, 190), (0, 0, 32, 48))
    edited = editor.edit(picture, "black and white")
    if edited.size != picture.size or edited.tobytes() == picture.tobytes():
        raise ModelError(f"an edit of {picture.size} pixels gave {edited.size}, or changed nothing")
    return {
        "load_seconds": loaded - start,
        "edit_seconds": time.perf_counter() - loaded,
        "device": str(editor.bundle.device),
        "memory": _peak_memory(),
    }


def _peak_memory() -> int | None:
    """The most bytes that this process has held, where the system tells."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
