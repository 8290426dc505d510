from pathlib import Path

import numpy as np
from PIL import Image

from editar_cli.training.sheets import GAP, save_sheet


def test_pictures_stand_in_rows_with_white_between(tmp_path: Path):
    def plain(value: int):
        return np.full((10, 20, 3), value, np.uint8)

    save_sheet(tmp_path / "sheet.png", [[plain(0), plain(50), plain(100)], [plain(150)]])
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * (10 + GAP), 3 * (20 + GAP), 3)
    assert (sheet[:10, 2 * (20 + GAP) :][:, :20] == 100).all()
    assert (sheet[10 + GAP :][:10, :20] == 150).all()
    assert (sheet[10 + GAP :, 20:] == 255).all() and (sheet[10 : 10 + GAP] == 255).all()
