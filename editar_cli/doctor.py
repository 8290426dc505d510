"""What is here and what is missing, and for each thing missing the one line that mends it.

Nothing that could be broken is imported into this process: versions come from the packages'
metadata, and what has to be tried is tried by ``editar_cli.probes`` in processes of its own.
"""

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from editar_cli import __version__
from editar_cli.checkpoints.registry import KNOWN, bundle_folder, readable_size
from editar_cli.embedded import CONFIG, EMBEDDED
from editar_cli.folders import home

State = Literal["ok", "absent", "warning", "error"]

CORE = {
    "huggingface_hub": "huggingface_hub",
    "numpy": "numpy",
    "opencv-python": "cv2",
    "pillow": "PIL",
    "rich": "rich",
    "safetensors": "safetensors",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "typer": "typer",
}
"""What no edit works without: distribution -> module."""

# Hints for what an import says: the first that is found in it.
_MENDS = (
    ("libGL.so", "apt-get install -y libgl1"),
    ("libgthread", "apt-get install -y libglib2.0-0"),
    ("libgomp", "apt-get install -y libgomp1"),
    ("No space left", "make room on the disk"),
)
_PATIENCE = 600.0
_LITTLE_MEMORY = 10**9
_LITTLE_DISK = 10**9
# Instruction sets that change what editar does, by their names in /proc/cpuinfo.
_INSTRUCTIONS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "BF16", "amx_tile": "AMX"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Args:
        section: heading it belongs to.
        name: what it is.
        state: ``ok``; ``absent`` for something optional; ``warning`` for what may give trouble;
            ``error`` for what edits cannot work without.
        text: what was found.
        fix: the line that mends it, or ``None``.
    """

    section: str
    name: str
    state: State
    text: str
    fix: str | None = None


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All findings, in the order of the page."""

    findings: tuple[Finding, ...]

    @property
    def works(self) -> bool:
        """Whether edits can be made."""
        return all(finding.state != "error" for finding in self.findings)

    def to_json(self) -> str:
        """One line of JSON."""
        found = [asdict(finding) for finding in self.findings]
        return json.dumps({"editar": __version__, "works": self.works, "findings": found})


Answers = Mapping[str, Mapping[str, Any]]
"""Step -> what ``editar_cli.probes`` answered."""


def examine(*, test: bool = False) -> Diagnosis:
    """Look at everything.

    Args:
        test: make a small edit, and import the optional packages as well.
    """
    installed = {name: found for name in _names_of_interest() if (found := _version(name))}
    modules = [module for name, module in CORE.items() if name in installed or name == "torch"]
    answers = dict(probe([f"import:{module}" for module in modules] + ["devices", "model"]))
    if test:
        optional = sorted(_optional_modules(installed))
        answers.update(probe([*(f"import:{module}" for module in optional), "edit"]))
    return Diagnosis(
        findings=(
            *_system(),
            *_core(installed, answers),
            *_combinations(installed),
            *_extras(installed, answers),
            *_machine(answers),
            *_room(),
            *_models(answers),
            *_edit(answers, test=test),
        )
    )


def probe(steps: Sequence[str], *, timeout: float = _PATIENCE) -> Answers:
    """Have steps taken by ``editar_cli.probes``; one that ends the process is told as its error.

    Args:
        steps: as there.
        timeout: seconds for all of them.
    """
    left = list(steps)
    answers: dict[str, Mapping[str, Any]] = {}
    while left:
        command = [sys.executable, "-m", "editar_cli.probes", *left]
        paths = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
        why = "took too long"
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=timeout,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            )
            said, why = done.stdout, _end_of_process(done.returncode)
        except subprocess.TimeoutExpired as error:
            said = error.stdout or b""
        for line in said.decode("utf-8", "replace").splitlines():
            answer = json.loads(line)
            answers[answer["step"]] = answer
        left = [step for step in left if step not in answers]
        if left:
            step = left.pop(0)
            answers[step] = {"step": step, "error": why}
    return answers


def _end_of_process(code: int) -> str:
    if code >= 0:
        return f"ended the process with code {code}"
    try:
        return f"ended the process with {signal.Signals(-code).name}"
    except ValueError:
        return f"ended the process with signal {-code}"


def _version(distribution: str) -> str | None:
    try:
        # Half an installation has metadata without a version.
        return metadata.version(distribution) or None
    except Exception:
        return None


@dataclass(frozen=True, kw_only=True)
class _Requirement:
    name: str
    least: str | None
    extra: str | None


def _requirements() -> list[_Requirement]:
    """What the installed package says it needs; none where it is run without being installed."""
    try:
        lines = metadata.requires("editar") or []
    except Exception:
        return []
    found = []
    for line in lines:
        name = re.match(r"[\w.-]+", line)
        assert name is not None, line
        least = re.search(r">=\s*([\w.]+)", line)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if name[0] != "editar" and (extra is None or extra[1] not in ("all", "test")):
            found.append(
                _Requirement(
                    name=name[0],
                    least=None if least is None else least[1],
                    extra=None if extra is None else extra[1],
                )
            )
    return found


def _names_of_interest() -> set[str]:
    others = {"torchvision", "torchaudio", "opencv-python-headless"}
    return {*CORE, *others, *(one.name for one in _requirements())}


def _module_of(distribution: str) -> str:
    named = {**CORE, "protobuf": "google.protobuf"}
    return named.get(distribution, distribution.replace("-", "_"))


def _optional_modules(installed: Mapping[str, str]) -> set[str]:
    wanted = {one.name for one in _requirements() if one.extra} & installed.keys()
    # Its operators are missing where it was built for another torch, which only an import shows.
    return {_module_of(name) for name in wanted | ({"torchvision"} & installed.keys())}


def _numbers(version: str) -> tuple[int, ...]:
    """``2.14.1+cpu`` -> (2, 14, 1); what is no number ends it."""
    start = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, start[0].split("."))) if start else ()


def _system() -> Iterator[Finding]:
    yield Finding(section="Versions", name="editar", state="ok", text=__version__)
    text = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding(section="Versions", name="Python", state="ok", text=text)


def _core(installed: Mapping[str, str], answers: Answers) -> Iterator[Finding]:
    least = {one.name: one.least for one in _requirements() if one.extra is None}
    for name, module in sorted(CORE.items()):
        answer = answers.get(f"import:{module}", {})
        version = installed.get(name)
        wanted = f"{name}>={least[name]}" if least.get(name) else name
        state: State = "ok"
        fix = None
        text = version or ""
        if error := answer.get("error"):
            state, text = "error", f"{version or 'not installed'}: {error}"
            fix = _mend(error, f'pip install --force-reinstall "{wanted}"')
            if version is None:
                fix = f'pip install "{wanted}"'
        elif version is None and not answer:
            state, text, fix = "error", "not installed", f'pip install "{wanted}"'
        elif version is not None and _numbers(version) < _numbers(least.get(name) or ""):
            state, text = "warning", f"{version}, older than {least[name]}"
            fix = f'pip install --upgrade "{wanted}"'
        yield Finding(section="Versions", name=name, state=state, text=text, fix=fix)


def _broken(answers: Answers) -> bool:
    """Whether something cannot be imported without which nothing else can be tried."""
    return any(answers.get(f"import:{module}", {}).get("error") for module in CORE.values())


def _mend(error: str, otherwise: str) -> str:
    return next((fix for sign, fix in _MENDS if sign in error), otherwise)


def _combinations(installed: Mapping[str, str]) -> Iterator[Finding]:
    """Packages that are fine by themselves and break each other."""
    torch = installed.get("torch")
    for name in ("torchvision", "torchaudio"):
        pinned = _pinned_torch(name) if name in installed else None
        if torch and pinned and _numbers(torch) != _numbers(pinned):
            yield Finding(
                section="Versions",
                name=name,
                state="warning",
                text=f"{installed[name]} is for torch {pinned}, not {torch}: imports of it fail "
                'with "operator torchvision::nms does not exist" or the like',
                fix=f'pip install --force-reinstall {name} "torch=={torch}"',
            )
    pair = [installed.get(name) for name in ("opencv-python", "opencv-python-headless")]
    if None not in pair and pair[0] != pair[1]:
        newest = max((version for version in pair if version), key=_numbers)
        yield Finding(
            section="Versions",
            name="opencv-python",
            state="warning",
            text=f"{pair[0]} and opencv-python-headless {pair[1]} overwrite each other's files",
            fix="pip install --force-reinstall --no-deps "
            f"opencv-python=={newest} opencv-python-headless=={newest}",
        )


def _pinned_torch(distribution: str) -> str | None:
    """The torch that a package says it was built for."""
    try:
        lines = metadata.requires(distribution) or []
    except Exception:
        return None
    for line in lines:
        if found := re.match(r"torch\s*\(?==\s*([\w.]+)", line):
            return found[1]
    return None


def _extras(installed: Mapping[str, str], answers: Answers) -> Iterator[Finding]:
    wanted = _requirements()
    if not wanted:
        yield Finding(
            section="Extras",
            name="editar",
            state="warning",
            text="is run from its source without being installed; its extras are not known",
            fix="pip install .",
        )
    groups: dict[str, list[str]] = {}
    for one in wanted:
        if one.extra is not None:
            groups.setdefault(one.extra, []).append(one.name)
    for extra, names in groups.items():
        missing = [name for name in names if name not in installed]
        here = [f"{name} {installed[name]}" for name in names if name in installed]
        install = f'pip install "editar[{extra}]"'
        errors = [
            (name, error)
            for name in names
            if (error := answers.get(f"import:{_module_of(name)}", {}).get("error"))
        ]
        for name, error in errors:
            fix = _mend(error, f"pip install --force-reinstall {name}")
            text = f"{installed[name]}: {error}"
            yield Finding(section="Extras", name=name, state="warning", text=text, fix=fix)
        text = ", ".join(here)
        if missing:
            text = f"{', '.join(missing)} missing" + (f"; {text}" if text else "")
        yield Finding(
            section="Extras",
            name=extra,
            state="absent" if missing else "ok",
            text=text,
            fix=install if missing else None,
        )
    if error := answers.get("import:torchvision", {}).get("error"):
        torch = installed.get("torch")
        yield Finding(
            section="Extras",
            name="torchvision",
            state="warning",
            text=f"{installed['torchvision']}: {error}",
            fix=f'pip install --force-reinstall torchvision "torch=={torch}"',
        )


def _machine(answers: Answers) -> Iterator[Finding]:
    found = answers.get("devices", {})
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name, instructions = _processor()
    text = f"{name}, {cores} cores usable"
    if "threads" in found:
        text += f", {found['threads']} threads"
    if instructions:
        text += f"; {', '.join(instructions)}"
    if not {"BF16", "AMX"} & set(instructions):
        text += "; no bfloat16 arithmetic, so float32 is used"
    yield Finding(section="Devices", name="cpu", state="ok", text=text)
    if error := found.get("error"):
        if not _broken(answers):
            yield Finding(section="Devices", name="torch", state="error", text=error)
        return
    cards = found.get("cuda", [])
    for index, card in enumerate(cards):
        size = f"{readable_size(card['free'])} of {readable_size(card['total'])} free"
        text = f"{card['name']}, {size}"
        yield Finding(section="Devices", name=f"cuda:{index}", state="ok", text=text)
    if not cards and (driver := _nvidia_driver()):
        built = found.get("cuda_build")
        text = f"there is an NVIDIA driver ({driver}), but torch is a build without CUDA"
        fix = "pip install --force-reinstall torch"
        if sys.platform == "win32":
            fix += " --index-url https://download.pytorch.org/whl/cu130"
        if built:
            text = f"the NVIDIA driver ({driver}) and torch's CUDA {built} do not work together"
            fix = f"nvidia-smi  # then update the driver to one for CUDA {built} or newer"
        yield Finding(section="Devices", name="cuda", state="warning", text=text, fix=fix)
    elif not cards:
        yield Finding(section="Devices", name="cuda", state="absent", text="no NVIDIA GPU")
    if found.get("mps"):
        yield Finding(section="Devices", name="mps", state="ok", text="Apple GPU")
    if "auto" in found:
        text = f"--device auto takes {found['auto']}, --dtype auto {found['dtype']}"
        yield Finding(section="Devices", name="auto", state="ok", text=text)


def _processor() -> tuple[str, list[str]]:
    """Its name, and which instruction sets it has of those that matter."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    if found := re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE):
        name = found[1].strip()
    if found := re.search(r"^flags\s*:\s*(.+)$", text, flags=re.MULTILINE):
        flags = set(found[1].split())
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            name = subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
    return name, [label for flag, label in _INSTRUCTIONS.items() if flag in flags]


def _nvidia_driver() -> str | None:
    """The NVIDIA driver's version, where there is one."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        command = shutil.which("nvidia-smi")
        if command is None:
            return None
        query = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            done = subprocess.run(query, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        lines = done.stdout.split()
        return lines[0] if done.returncode == 0 and lines else None
    found = re.search(r"\d+\.\d+(?:\.\d+)?", text)
    return found[0] if found else "unknown version"


def _room() -> Iterator[Finding]:
    total, free = _memory()
    if total is not None and free is not None:
        low = free < _LITTLE_MEMORY
        yield Finding(
            section="Room",
            name="memory",
            state="warning" if low else "ok",
            text=f"{readable_size(free)} of {readable_size(total)} free"
            + ("; the embedded model takes about 1 GB" if low else ""),
            fix="editar edit --batch-size 1 --jobs 0 ...  # or close other programs"
            if low
            else None,
        )
    hub = os.environ.get("HF_HUB_CACHE") or os.path.join(
        os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface", "hub"
    )
    for name, folder, variable in (
        ("models", home(), "EDITAR_HOME"),
        ("hub cache", Path(hub), "HF_HOME"),
        ("temporary", _temporary(), "TMPDIR"),
        ("this folder", Path.cwd(), None),
    ):
        yield _disk(name, folder, variable)


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(os.environ.get("TMPDIR", "/tmp"))


def _disk(name: str, folder: Path, variable: str | None) -> Finding:
    stands = folder
    while not stands.exists() and stands != stands.parent:
        stands = stands.parent
    try:
        free = shutil.disk_usage(stands).free
    except OSError as error:
        text = f"{_short(folder)}: {error.strerror}"
        return Finding(section="Room", name=name, state="warning", text=text)
    text = f"{readable_size(free)} free, {_short(folder)}"
    fix = None
    state: State = "ok"
    if not os.access(stands, os.W_OK):
        state, text = "warning", f"{text}, cannot be written to"
    elif free < _LITTLE_DISK:
        state = "warning"
    if state == "warning":
        fix = f"export {variable}=/another/folder" if variable else "editar edit ... -o /another/"
    return Finding(section="Room", name=name, state=state, text=text, fix=fix)


def _short(path: Path) -> str:
    """With ``~`` for the home folder."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except ValueError:
        return str(path)


def _memory() -> tuple[int | None, int | None]:
    """(total, free) bytes for this process; a container's limit counts."""
    total = free = None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        table = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        total, free = table["MemTotal"], table["MemAvailable"]
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError, KeyError, IndexError):
        return total, free
    return min(total, limit), max(0, min(free, limit - used))


def _models(answers: Answers) -> Iterator[Finding]:
    answer = answers.get("model", {})
    fix = "pip install --force-reinstall --no-deps .  # in the folder of editar's source"
    if _broken(answers):
        text = "not looked at: there are errors above"
        yield Finding(section="Models", name=EMBEDDED, state="warning", text=text)
    elif error := answer.get("error"):
        yield Finding(section="Models", name=EMBEDDED, state="error", text=error, fix=fix)
    elif not answer["files"]:
        text = f"{_short(Path(answer['path']))}: fits, but holds no sha256 sums to compare"
        yield Finding(section="Models", name=EMBEDDED, state="warning", text=text, fix=fix)
    else:
        text = f"embedded, fits its architecture, {answer['files']} files of the right sha256"
        yield Finding(section="Models", name=EMBEDDED, state="ok", text=text)
    folders = {model.name: bundle_folder(model.name) for model in KNOWN.values()}
    for model in KNOWN.values():
        if model.transformer is None:
            continue
        here = (folders[model.name] / CONFIG).is_file()
        yield Finding(
            section="Models",
            name=model.name,
            state="ok" if here else "absent",
            text=_short(folders[model.name]) if here else f"{model.about}; not on this machine",
            fix=None if here else f"editar weights pull {model.name}",
        )


def _edit(answers: Answers, *, test: bool) -> Iterator[Finding]:
    if not test:
        return
    answer = answers["edit"]
    if error := answer.get("error"):
        if _broken(answers):
            error = "not made: there are errors above"
        yield Finding(section="Test", name="an edit", state="error", text=error)
        return
    text = f"made on {answer['device']} in {answer['edit_seconds']:.1f} s, loading in "
    text += f"{answer['load_seconds']:.1f} s"
    if answer["memory"]:
        text += f", with {readable_size(answer['memory'])} of memory"
    yield Finding(section="Test", name="an edit", state="ok", text=text)
