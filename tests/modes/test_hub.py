import sys
import warnings
from pathlib import Path

import pytest
from huggingface_hub import constants

from editar_cli.errors import CheckpointError, ModelError
from editar_cli.modes import _hub, load_mode
from editar_cli.modes._hub import (
    cached_folder,
    in_cache,
    installed,
    loading,
    need,
    reading,
    weights_file,
    weights_folder,
)
from editar_cli.modes._mode import Download, ExtractorSettings

FILE = Download(repository="house/annotators", file="sub/net.pth", megabytes=29)
FOLDER = Download(repository="house/depth", file="model.safetensors", megabytes=99)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a hub that may not be asked."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def put(cache: Path, repository: str, *files: str) -> Path:
    """Files as they lie in the hub's cache."""
    folder = cache / ("models--" + repository.replace("/", "--"))
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text("c0ffee")
    for file in files:
        path = folder / "snapshots" / "c0ffee" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return folder


def test_a_file_in_the_cache_is_found_without_a_network(cache: Path):
    assert not in_cache(FILE.repository, FILE.file)
    folder = put(cache, FILE.repository, FILE.file)
    assert in_cache(FILE.repository, FILE.file)
    found = weights_file("hed", FILE, ExtractorSettings(), ())
    assert found == folder / "snapshots" / "c0ffee" / FILE.file


def test_a_folder_in_the_cache_counts_when_it_is_complete(cache: Path):
    folder = put(cache, FOLDER.repository, "config.json", "pytorch_model.bin")
    assert cached_folder(FOLDER.repository) is None
    put(cache, FOLDER.repository, "preprocessor_config.json")
    snapshot = folder / "snapshots" / "c0ffee"
    assert cached_folder(FOLDER.repository) == snapshot
    assert weights_folder("dpt", FOLDER, ExtractorSettings(), ()) == snapshot


def test_a_path_goes_before_the_cache(cache: Path, tmp_path: Path):
    put(cache, FILE.repository, FILE.file)
    mine = tmp_path / "mine" / "net.pth"
    mine.parent.mkdir()
    mine.write_text("")
    for given in (mine, mine.parent):
        assert weights_file("hed", FILE, ExtractorSettings(weights=given), ()) == mine


def test_a_folder_copied_out_of_the_cache_will_do(cache: Path):
    copied = put(cache, "house/other", "config.json", "net.pth")
    settings = ExtractorSettings(weights=copied)
    assert weights_folder("dpt", FOLDER, settings, ()) == copied / "snapshots" / "c0ffee"
    assert weights_file("hed", FILE, settings, ()) == copied / "snapshots" / "c0ffee" / "net.pth"


@pytest.mark.parametrize("find", [weights_file, weights_folder])
def test_a_wrong_path_is_named(find, tmp_path: Path):
    settings = ExtractorSettings(weights=tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"--extractor-weights .*nowhere: there is no such"):
        find("hed", FILE, settings, ())
    with pytest.raises(ModelError, match=r"--extractor-weights .*(looks for net\.pth|config)"):
        find("hed", FILE, ExtractorSettings(weights=tmp_path), ())


@pytest.mark.parametrize(("find", "download"), [(weights_file, FILE), (weights_folder, FOLDER)])
def test_without_a_network_the_error_says_what_is_missing_and_what_to_do(
    find, download: Download, cache: Path
):
    with pytest.raises(ModelError) as caught:
        find("midas", download, ExtractorSettings(), ["small", "midas"])
    message = str(caught.value)
    for words in (
        "--extractor midas:", download.repository, f"({download.megabytes} MB)",
        "HF_HUB_OFFLINE is set", "--extractor-weights PATH", "HF_HOME",
        "another extractor: small",
    ):  # fmt: skip
        assert words in message
    assert not message.endswith("midas")


def test_a_download_that_fails_is_reported_with_its_reason(
    cache: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: str) -> str:
        raise OSError("connection reset\nby peer")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(ModelError, match=r"cannot be downloaded: connection reset\. Without"):
        weights_file("hed", FILE, ExtractorSettings(), ())


def test_a_download_takes_one_kind_of_weights(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def download(repository: str, *, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        if "*.bin" in allow_patterns:
            (tmp_path / "pytorch_model.bin").touch()
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert weights_folder("dpt", FOLDER, ExtractorSettings(), ()) == tmp_path
    assert asked == [["*.json", "*.safetensors"], ["*.json", "*.bin"]]


@pytest.mark.parametrize(
    ("mode", "extractor"),
    [
        ("depth", "dpt"),
        ("depth", "depth-anything"),
        ("depth", "midas"),
        ("depth", "zoe"),
        ("segmentation", "maskformer"),
        ("segmentation", "sam"),
    ],
)
def test_every_network_without_weights_fails_with_its_own_name(
    mode: str, extractor: str, cache: Path
):
    entry = load_mode(mode).extractor(extractor)
    if not installed("transformers", "controlnet_aux"):
        pytest.skip("transformers or controlnet-aux is not installed")
    assert not entry.at_hand()
    with pytest.raises(ModelError, match=f"--extractor {extractor}: its weights"):
        entry.load(ExtractorSettings())


def test_missing_packages_are_named_with_the_line_that_brings_them():
    need("hed", "json")
    with pytest.raises(ModelError, match=r"needs no_such_package: pip install .editar\[annot"):
        need("hed", "json", "no_such_package")


def test_libraries_load_in_silence_and_output_comes_back(capfd: pytest.CaptureFixture[str]):
    with warnings.catch_warnings(record=True) as heard, loading("hed"):
        print("chatter")
        print("chatter", file=sys.stderr)
        warnings.warn("chatter", stacklevel=1)
    print("after")
    assert capfd.readouterr() == ("after\n", "") and not heard


def test_a_broken_package_is_a_model_error():
    with pytest.raises(ModelError, match="a package is missing or broken: libGL"), loading("hed"):
        raise ImportError("libGL")


def test_unreadable_weights_are_a_checkpoint_error_in_one_line():
    with (
        pytest.raises(CheckpointError, match=r"^net\.pth: no HED weights .*: KeyError$"),
        reading(Path("net.pth"), "HED"),
    ):
        raise KeyError
    with pytest.raises(ModelError, match="as it was"), reading(Path("x"), "HED"):
        raise ModelError("as it was")


def test_packages_are_found_without_importing_them():
    assert installed("json") and not installed("json", "no_such_package")
    assert _hub.INSTALL == 'pip install "editar[annotators]"'
