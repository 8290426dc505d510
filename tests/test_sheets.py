from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from editar_cli import sheets
from editar_cli.sheets import save_rows, strips_of, write_contact_sheet


def test_pictures_stand_in_rows_with_white_between(tmp_path: Path):
    def plain(value: int):
        return np.full((10, 20, 3), value, np.uint8)

    save_rows(tmp_path / "sheet.png", [[plain(0), plain(50), plain(100)], [plain(150)]])
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * (10 + 4), 3 * (20 + 4), 3)
    assert (sheet[:10, 2 * (20 + 4) :][:, :20] == 100).all()
    assert (sheet[10 + 4 :][:10, :20] == 150).all()
    assert (sheet[10 + 4 :, 20:] == 255).all() and (sheet[10 : 10 + 4] == 255).all()


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (300, 200)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def record(source: Path | str, output: Path | str, text: str = "x", **more: object):
    return {
        "input": str(source), "output": str(output), "status": "done", "instruction": text, **more
    }  # fmt: skip


def places(sheet: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Where a colour is, to within what JPEG changes."""
    return (np.abs(sheet.astype(int) - colour) < 12).all(axis=2)


def centre(marked: NDArray[np.bool_]) -> tuple[float, float]:
    y, x = np.nonzero(marked)
    return float(x.mean()), float(y.mean())


def test_strips_gather_the_variations_of_a_picture_and_leave_failures_out():
    records = [
        record("a.jpg", "a-1.jpg", variation=1),
        record("a.jpg", "a-2.jpg", variation=2) | {"status": "skipped"},
        record("b.jpg", "b-1.jpg", variation=1) | {"status": "failed"},
        record("b.jpg", "b-2.jpg", variation=2),
        record("c.jpg", "c-1.jpg", variation=1) | {"status": "failed"},
    ]
    found = strips_of(records)
    assert [(strip.name, [file.name for file in strip.results]) for strip in found] == [
        ("a.jpg", ["a-1.jpg", "a-2.jpg"]), ("b.jpg", ["b-2.jpg"]),
    ]  # fmt: skip


def test_a_picture_that_is_listed_twice_has_two_strips():
    found = strips_of([record("a.jpg", "x.jpg", "one"), record("a.jpg", "y.jpg", "one")])
    assert [strip.tiles for strip in found] == [2, 2]
    (piped,) = strips_of([record("-", "x.jpg")])
    assert piped.source is None and piped.name == "standard input"


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_results_stand_beside_their_source(tmp_path: Path, suffix: str):
    source = picture(tmp_path / "in.png", (200, 30, 30))
    outputs = [
        picture(tmp_path / "1.png", (30, 160, 30)), picture(tmp_path / "2.png", (30, 30, 200))
    ]  # fmt: skip
    records = [record(source, output, variation=i + 1) for i, output in enumerate(outputs)]
    seen: list[float] = []
    (page,) = write_contact_sheet(
        tmp_path / f"sheet{suffix}", records, on_progress=lambda done, what: seen.append(done)
    )
    sheet = np.asarray(Image.open(page))
    tiles = [places(sheet, colour) for colour in ((200, 30, 30), (30, 160, 30), (30, 30, 200))]
    assert all(tile.sum() > 10_000 for tile in tiles)
    (x0, y0), (x1, y1), (x2, y2) = map(centre, tiles)
    assert x0 < x1 < x2 and max(y0, y1, y2) - min(y0, y1, y2) < 2
    assert seen == [2]
    dark = places(sheet, (0x1C, 0x1C, 0x1E))
    assert dark[: int(y0) - 110].any(), "the heading says what was asked for"
    assert (sheet[:20] == 255).all() and (sheet[-20:] == 255).all()


def test_two_hundred_pictures_are_one_page_of_a_handy_shape(tmp_path: Path):
    source = picture(tmp_path / "in.jpg", (200, 30, 30), (60, 40))
    records = [record(source, source) for _ in range(200)]
    pages = write_contact_sheet(tmp_path / "sheet.png", records)
    assert len(pages) == 1
    width, height = Image.open(pages[0]).size
    assert 1.2 < width / height < 1.9 and width < 6000


def test_more_pictures_go_on_further_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sheets, "TILES", 6)
    source = picture(tmp_path / "in.jpg", (200, 30, 30), (60, 40))
    records = [record(source, source) for _ in range(7)]
    pages = write_contact_sheet(tmp_path / "sheet.png", records)
    assert [page.name for page in pages] == ["sheet.png", "sheet-2.png", "sheet-3.png"]
    assert Image.open(pages[2]).size < Image.open(pages[0]).size


def test_many_variations_wrap(tmp_path: Path):
    source = picture(tmp_path / "in.png", (200, 30, 30), (90, 60))
    output = picture(tmp_path / "out.png", (30, 160, 30), (90, 60))
    records = [record(source, output, variation=i + 1) for i in range(20)]
    (page,) = write_contact_sheet(tmp_path / "sheet.png", records)
    rows = places(np.asarray(Image.open(page)), (30, 160, 30)).any(axis=1)
    assert (np.diff(rows.astype(int)) == 1).sum() == 3, "21 pictures, 9 across"


def test_what_cannot_be_read_is_a_grey_tile_and_failures_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    draw = sheets._Layout.draw
    monkeypatch.setattr(
        sheets._Layout, "draw", lambda self, *args: (said.append(args[0]), draw(self, *args))[1]
    )
    output = picture(tmp_path / "out.png", (30, 160, 30))
    records = [
        record(tmp_path / "gone.jpg", output),
        record("bad.jpg", "bad-out.jpg") | {"status": "failed"},
    ]
    (page,) = write_contact_sheet(tmp_path / "sheet.png", records, facts=["mini", "seed 3"])
    assert places(np.asarray(Image.open(page)), (0xEC, 0xEC, 0xEE)).sum() > 10_000
    assert "1 failed and not shown" in said[0] and "mini" in said[0] and "seed 3" in said[0]
    assert write_contact_sheet(tmp_path / "none.png", records[1:]) == []
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    "text", ["snow " * 200, "x" * 500, "\u96ea\u3092\u964d\u3089\u305b\u308b", "<b>&"]
)
def test_any_text_fits_its_place(tmp_path: Path, text: str):
    source = picture(tmp_path / "in.png", (200, 30, 30))
    for records in (
        [record(source, source, text)],
        [record(source, source, text), record(source, source, "other")],
    ):
        (page,) = write_contact_sheet(tmp_path / "sheet.png", records)
        sheet = np.asarray(Image.open(page))
        assert (sheet[:, -20:] == 255).all()


def test_pictures_are_shown_upright_and_in_srgb(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = Image.new("RGB", (300, 200), (200, 30, 30))
    tall.save(tmp_path / "in.jpg", exif=exif.tobytes())
    (page,) = write_contact_sheet(
        tmp_path / "sheet.png", [record(tmp_path / "in.jpg", tmp_path / "in.jpg")]
    )
    marked = places(np.asarray(Image.open(page)), (200, 30, 30))
    height, width = marked.any(axis=1).sum(), marked.any(axis=0).sum()
    assert height * 2 * 0.9 < width * 1.5 < height * 2 * 1.1, "two tall pictures side by side"
