import pytest

from editar_cli import errors


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("EditarError", 1),
        ("UsageError", 2),
        ("ModelError", 3),
        ("CheckpointError", 3),
        ("DeviceError", 3),
        ("ImageError", 1),
        ("TrainingError", 1),
    ],
)
def test_every_error_has_its_exit_code(name: str, code: int):
    error = getattr(errors, name)
    assert issubclass(error, errors.EditarError)
    assert error("said").exit_code == code


def test_whatever_is_wrong_with_a_model_can_be_caught_at_once():
    for error in (errors.CheckpointError, errors.DeviceError):
        assert issubclass(error, errors.ModelError)


def test_every_error_of_the_module_is_in_its_drawing():
    assert errors.__doc__ is not None
    for name, value in vars(errors).items():
        if isinstance(value, type):
            assert name in errors.__doc__
