import pytest

from editar_cli import embedded
from editar_cli.embedded import CONFIG, embedded_folder


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package folder of its own, without weights."""
    (tmp_path / "editar_cli").mkdir()
    monkeypatch.setattr(embedded, "__file__", str(tmp_path / "editar_cli/embedded.py"))
    return tmp_path / "editar_cli"


def put(folder):
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text("{}")


def test_without_weights_there_is_no_folder(package):
    assert embedded_folder() is None
    (package.parent / "weights/mini").mkdir(parents=True)
    assert embedded_folder() is None


def test_a_checkout_has_them_beside_the_package(package):
    put(package.parent / "weights/mini")
    assert embedded_folder() == package.parent / "weights/mini"


def test_those_inside_an_installed_package_go_first(package):
    put(package.parent / "weights/mini")
    put(package / "_weights/mini")
    assert embedded_folder() == package / "_weights/mini"


@pytest.mark.skipif(embedded_folder() is None, reason="this checkout has no embedded model yet")
def test_what_the_embedded_model_names_as_its_extractors_is_there():
    from editar_cli.checkpoints.native import read_config
    from editar_cli.modes import load_mode

    folder = embedded_folder()
    assert folder is not None
    for mode, names in read_config(folder).extractors.items():
        assert set(names) <= load_mode(mode).extractors.keys()
