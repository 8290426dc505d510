from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from editar_cli.config import SamplingConfig
from editar_cli.errors import UsageError


def test_the_defaults_are_the_published_ones():
    config = SamplingConfig()
    assert (config.guidance, config.temperature, config.top_k, config.top_p) == (3.0, 1.0, 1000, 1)
    assert config.guidance_interval is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"guidance": -0.1}, "--guidance -0.1: must be between 0 and 100"),
        ({"guidance": 100.5}, "--guidance 100.5"),
        ({"guidance": float("nan")}, "--guidance nan"),
        ({"temperature": -1.0}, "--temperature -1.0: must be between 0 and 100"),
        ({"temperature": float("inf")}, "--temperature inf"),
        ({"top_k": -1}, "--top-k -1: must be 0 \\(off\\) or more"),
        ({"top_p": 0.0}, "--top-p 0.0: must be above 0 and at most 1"),
        ({"top_p": 1.01}, "--top-p 1.01"),
        ({"guidance_interval": -1}, "--guidance-interval -1: must be 0 or more"),
    ],
)
def test_a_value_out_of_range_names_flag_value_and_what_is_allowed(
    values: dict[str, Any], said: str
):
    with pytest.raises(UsageError, match=said):
        SamplingConfig(**values)


@pytest.mark.parametrize(
    "values",
    [{"guidance": 0.0}, {"temperature": 0.0}, {"top_k": 0}, {"top_p": 1.0},
     {"guidance_interval": 0}],
)  # fmt: skip
def test_the_limits_themselves_are_allowed(values: dict[str, Any]):
    SamplingConfig(**values)


def test_a_changed_copy_is_checked_too():
    with pytest.raises(UsageError, match="--top-p"):
        replace(SamplingConfig(), top_p=2.0)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        SamplingConfig().top_k = 3  # type: ignore[misc]
