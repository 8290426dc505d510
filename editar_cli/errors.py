"""Errors meant for people.

::

    EditarError            exit code 1
    ├── UsageError         2  the command line or a configuration is wrong
    ├── ModelError         3  a model or device cannot be used
    │   ├── CheckpointError
    │   └── DeviceError
    ├── ImageError         1  one picture cannot be read, edited or written
    └── TrainingError      1  a training run cannot start or go on

A message says what happened, with which file, and what to do. Programming mistakes stay ordinary
exceptions and assertions.
"""


class EditarError(Exception):
    """Base of all errors whose message is written for the person at the keyboard."""

    exit_code = 1


class UsageError(EditarError):
    """Wrong flags, arguments or configuration values."""

    exit_code = 2


class ModelError(EditarError):
    """A model or device cannot be loaded or used."""

    exit_code = 3


class CheckpointError(ModelError):
    """A checkpoint or bundle is missing, damaged or of another architecture."""


class DeviceError(ModelError):
    """A device or number format is not available here."""


class ImageError(EditarError):
    """One picture cannot be read, edited or written; the others are not affected."""


class TrainingError(EditarError):
    """A training run cannot start or continue."""
