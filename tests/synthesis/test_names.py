from __future__ import annotations

import re

from editar_cli.synthesis._names import AIRBORNE, COMMON, LEFT_OUT, SAID


def test_every_name_is_a_clean_one() -> None:
    for name in (*LEFT_OUT, *SAID, *SAID.values(), *AIRBORNE, *COMMON):
        assert re.fullmatch(r"[A-Za-z][A-Za-z.' -]*[a-z]", name), name
        assert "  " not in name


def test_nothing_is_both_left_out_and_renamed() -> None:
    assert not LEFT_OUT & set(SAID)
    assert all(said != name for name, said in SAID.items())


def test_what_is_said_stays_short() -> None:
    assert max(len(said.split()) for said in SAID.values()) <= 4
