import json
import os
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from editar_cli import doctor, probes
from editar_cli.doctor import CORE, Diagnosis, Finding

ROOT = Path(__file__).resolve().parent.parent


def finding(findings, name, section=None) -> Finding:
    (one,) = [f for f in findings if f.name == name and section in (None, f.section)]
    return one


def test_the_core_is_what_the_package_depends_on():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    assert set(CORE) == needed


@pytest.fixture
def odd_modules(tmp_path, monkeypatch):
    """A folder of modules that child processes find."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(**modules: str) -> None:
        for name, code in modules.items():
            (tmp_path / f"{name}.py").write_text(code)

    return write


def test_a_probe_outlives_modules_that_raise_print_leave_and_crash(odd_modules):
    odd_modules(
        raises="raise ImportError('libGL.so.1: cannot\\nopen')",
        prints="import os; print('{}'); os.write(1, b'noise\\n')",
        leaves="import sys; sys.exit(5)",
        vanishes="import os; os._exit(7)",
        crashes="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        fine="",
    )
    names = ["raises", "prints", "leaves", "vanishes", "crashes", "fine"]
    answers = doctor.probe([f"import:{name}" for name in names])
    assert [answers[f"import:{name}"]["error"] for name in names] == [
        "ImportError: libGL.so.1: cannot open",
        None,
        "SystemExit: 5",
        "ended the process with code 7",
        "ended the process with SIGSEGV",
        None,
    ]


def test_a_probe_waits_no_longer_than_it_was_told(odd_modules):
    odd_modules(sleeps="import time; time.sleep(60)")
    answers = doctor.probe(["import:json", "import:sleeps"], timeout=5)
    assert answers["import:json"]["error"] is None
    assert answers["import:sleeps"]["error"] == "took too long"


def test_long_errors_are_cut_and_told_in_one_line():
    text = probes._one_line(ValueError("a\n" * 1000))
    assert len(text) == 300
    assert text.startswith("ValueError: a a")
    assert text.endswith("...")


def healthy() -> dict[str, dict[str, object]]:
    answers = {f"import:{module}": {"error": None} for module in CORE.values()}
    return answers


def test_a_package_that_is_not_there_is_an_error_with_the_line_that_installs_it():
    answers = healthy()
    answers["import:torch"] = {"error": "ModuleNotFoundError: No module named 'torch'"}
    installed = {name: "99.0" for name in CORE if name != "torch"}
    one = finding(doctor._core(installed, answers), "torch")
    assert (one.state, one.text.split(":")[0]) == ("error", "not installed")
    assert re.fullmatch(r'pip install "torch(>=[\d.]+)?"', one.fix)
    assert not Diagnosis(findings=(one,)).works


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("ImportError: libGL.so.1: cannot open shared object", "apt-get install -y libgl1"),
        ("OSError: libgomp.so.1: cannot open shared object", "apt-get install -y libgomp1"),
        ("AttributeError: half gone", "pip install --force-reinstall"),
    ],
)
def test_a_package_that_cannot_be_imported_names_what_mends_it(error, fix):
    answers = {**healthy(), "import:cv2": {"error": error}}
    one = finding(doctor._core(dict.fromkeys(CORE, "99.0"), answers), "opencv-python")
    assert one.state == "error"
    assert error in one.text
    assert one.fix.startswith(fix)


def test_an_old_package_is_a_warning(monkeypatch):
    wanted = [doctor._Requirement(name="numpy", least="1.26", extra=None)]
    monkeypatch.setattr(doctor, "_requirements", lambda: wanted)
    for version, state in (("1.25.9", "warning"), ("1.26", "ok"), ("2.0.0rc1", "ok")):
        installed = {**dict.fromkeys(CORE, "99.0"), "numpy": version}
        assert finding(doctor._core(installed, healthy()), "numpy").state == state


def test_a_torchvision_for_another_torch_is_told(monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy", "torch==2.13.0"])
    installed = {"torch": "2.14.1+cpu", "torchvision": "0.28.0"}
    (one,) = doctor._combinations(installed)
    assert (one.name, one.state) == ("torchvision", "warning")
    assert "torchvision::nms" in one.text
    assert one.fix == 'pip install --force-reinstall torchvision "torch==2.14.1+cpu"'
    assert not list(doctor._combinations({**installed, "torch": "2.13.0+cpu"}))


def test_two_opencvs_of_different_versions_are_told():
    installed = {"opencv-python": "4.9.0.80", "opencv-python-headless": "4.11.0.86"}
    (one,) = doctor._combinations(installed)
    assert "overwrite" in one.text
    assert one.fix.endswith("opencv-python==4.11.0.86 opencv-python-headless==4.11.0.86")
    assert not list(doctor._combinations({**installed, "opencv-python": "4.11.0.86"}))


def test_an_extra_that_is_not_there_has_its_line(monkeypatch):
    lines = [
        "torch>=2.11",
        'kornia>=0.8; extra == "annotators"',
        'h5py>=3; extra == "annotators"',
        'kornia>=0.8; extra == "all"',
        'editar[annotators]; extra == "all"',
        "pytest>=8; extra == 'test'",
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    (missing,) = doctor._extras({"h5py": "3.1"}, {})
    assert (missing.name, missing.state) == ("annotators", "absent")
    assert missing.text == "kornia missing; h5py 3.1"
    assert missing.fix == 'pip install "editar[annotators]"'
    (here,) = doctor._extras({"h5py": "3.1", "kornia": "0.9"}, {})
    assert (here.state, here.fix) == ("ok", None)
    broken = {"import:kornia": {"error": "RuntimeError: no"}}
    said = list(doctor._extras({"h5py": "3.1", "kornia": "0.9"}, broken))
    assert finding(said, "kornia").text == "0.9: RuntimeError: no"


def test_a_package_that_is_not_installed_says_so(monkeypatch):
    def fail(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", fail)
    (one,) = doctor._extras({}, {})
    assert (one.state, one.fix) == ("warning", "pip install .")


def devices(**more) -> dict[str, dict[str, object]]:
    facts = {"error": None, "cuda": [], "cuda_build": None, "mps": False, "threads": 2}
    return {"devices": {**facts, "auto": "cpu", "dtype": "float32", **more}}


def test_cards_are_listed_with_their_memory(monkeypatch):
    card = {"name": "H100", "free": 70 * 10**9, "total": 80 * 10**9}
    found = list(doctor._machine(devices(cuda=[card, card])))
    assert finding(found, "cuda:1").text == "H100, 70.0 GB of 80.0 GB free"
    assert not [one for one in found if one.name == "cuda"]


@pytest.mark.parametrize(("build", "fix"), [(None, "pip install"), ("13.0", "nvidia-smi")])
def test_a_driver_that_torch_cannot_use_is_told(monkeypatch, build, fix):
    monkeypatch.setattr(doctor, "_nvidia_driver", lambda: "535.1")
    one = finding(doctor._machine(devices(cuda_build=build)), "cuda")
    assert one.state == "warning"
    assert "535.1" in one.text
    assert one.fix.startswith(fix)


def test_a_machine_without_a_card_misses_nothing(monkeypatch):
    monkeypatch.setattr(doctor, "_nvidia_driver", lambda: None)
    one = finding(doctor._machine(devices()), "cuda")
    assert (one.state, one.fix) == ("absent", None)


def test_full_and_locked_disks_are_told(monkeypatch, tmp_path):
    inside = tmp_path / "not" / "there"
    assert doctor._disk("models", inside, "EDITAR_HOME").state == "ok"
    monkeypatch.setattr(doctor, "_LITTLE_DISK", 10**18)
    full = doctor._disk("models", inside, "EDITAR_HOME")
    assert (full.state, full.fix) == ("warning", "export EDITAR_HOME=/another/folder")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    locked = doctor._disk("models", inside, "EDITAR_HOME")
    assert "cannot be written to" in locked.text


def test_little_memory_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "_memory", lambda: (8 * 10**9, 5 * 10**8))
    one = finding(doctor._room(), "memory")
    assert one.state == "warning"
    assert "500.0 MB of 8.0 GB free" in one.text


def test_a_damaged_model_is_an_error():
    answers = {**healthy(), "model": {"error": "transformer.safetensors: its sha256 is not"}}
    one = finding(doctor._models(answers), "mini")
    assert one.state == "error"
    assert "sha256" in one.text
    assert one.fix is not None


def test_a_pulled_model_is_found_where_weights_pull_puts_it(monkeypatch, tmp_path):
    monkeypatch.setenv("EDITAR_HOME", str(tmp_path))
    answers = {**healthy(), "model": {"error": None, "path": "/x", "files": 3}}
    absent = finding(doctor._models(answers), "editar")
    assert (absent.state, absent.fix) == ("absent", "editar weights pull editar")
    folder = tmp_path / "models" / "editar"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert finding(doctor._models(answers), "editar").state == "ok"


def test_a_failed_edit_is_an_error():
    answers = {**healthy(), "edit": {"error": "ModelError: no"}}
    (one,) = doctor._edit(answers, test=True)
    assert (one.state, one.text) == ("error", "ModelError: no")
    assert list(doctor._edit({}, test=False)) == []


def test_json_says_it_all():
    diagnosis = Diagnosis(
        findings=(Finding(section="S", name="n", state="absent", text="t", fix="f"),)
    )
    told = json.loads(diagnosis.to_json())
    assert told["works"] is True
    assert told["findings"] == [
        {"section": "S", "name": "n", "state": "absent", "text": "t", "fix": "f"}
    ]
