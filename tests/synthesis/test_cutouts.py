from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from editar_cli.errors import UsageError
from editar_cli.synthesis.cutouts import COMMON_WEIGHT, Cutouts, read_cutouts
from tests.synthesis.painted_cutouts import cutout, write_cutouts


def test_a_folder_is_read_with_what_people_say(tmp_path: Path) -> None:
    names = ("dog", "some keys", "automobile", "grapes", "helicopter", "mahjong tile red dragon")
    found = read_cutouts(write_cutouts(tmp_path / "cutouts", names))
    assert list(found) == ["00.png", "01.png", "02.png", "03.png", "04.png"]
    assert [c.noun for c in found.values()] == ["dog", "keys", "car", "grapes", "helicopter"]
    assert [c.plural for c in found.values()] == [False, True, False, True, False]
    assert [c.airborne for c in found.values()] == [False] * 4 + [True]


def test_the_table_may_lie_beside_the_folder(tmp_path: Path) -> None:
    folder = write_cutouts(tmp_path / "cutouts")
    (folder / "cutouts.tsv").rename(tmp_path / "cutouts.tsv")
    assert len(read_cutouts(folder)) == 8


def test_a_picture_is_cropped_to_its_thing_and_an_empty_one_left_out(tmp_path: Path) -> None:
    folder = write_cutouts(tmp_path / "cutouts", ("dog", "cat"))
    picture = np.zeros((50, 40, 4), np.uint8)
    Image.fromarray(picture).save(folder / "01.png")
    picture[10:20, 5:35] = (9, 8, 7, 255)
    Image.fromarray(picture).save(folder / "00.png")
    (found,) = read_cutouts(folder).values()
    assert found.picture.shape == (10, 30, 4)
    assert (found.picture == (9, 8, 7, 255)).all()


def test_what_is_missing_or_broken_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no folder of cut-outs.*cutouts\.tsv"):
        read_cutouts(tmp_path / "none")
    folder = write_cutouts(tmp_path / "cutouts", ("dog", "cat"))
    (folder / "01.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"01\.png"):
        read_cutouts(folder)
    (folder / "01.png").unlink()
    with pytest.raises(UsageError, match=r"01\.png"):
        read_cutouts(folder)
    (folder / "cutouts.tsv").write_text("picture\tname\n")
    with pytest.raises(UsageError, match="columns file and name"):
        read_cutouts(folder)


def test_common_things_are_drawn_oftener() -> None:
    some = [cutout("dog"), cutout("anvil")]
    both = Cutouts(some, some)
    rng = np.random.default_rng(0)
    for draw in (both.show, both.draw):
        counts = Counter(draw(rng).noun for _ in range(1200))
        assert counts["dog"] / counts["anvil"] == pytest.approx(COMMON_WEIGHT, rel=0.25)


def test_shown_and_drawn_things_are_kept_apart() -> None:
    some = Cutouts([cutout("dog")], [cutout("cat"), cutout("key")])
    rng = np.random.default_rng(0)
    assert {some.show(rng).noun for _ in range(9)} == {"dog"}
    assert {some.draw(rng).noun for _ in range(30)} == {"cat", "key"}


def test_too_few_things_are_wrong_usage() -> None:
    for shown, drawn in (([], [cutout("dog"), cutout("cat")]), ([cutout()], [cutout(), cutout()])):
        with pytest.raises(UsageError, match="two different things"):
            Cutouts(shown, drawn)
