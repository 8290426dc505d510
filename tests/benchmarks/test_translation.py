from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from editar_cli.benchmarks import translation
from editar_cli.benchmarks.report import write_translation_report
from editar_cli.benchmarks.translation import HEADERS, SHIFTS, ModeResult, figures, run_mode
from editar_cli.editor import Editor
from editar_cli.engine import image_seed
from editar_cli.modes import load_mode
from editar_cli.modes._settings import MapSettings
from editar_cli.modes.canny import PROMPT, canny_map
from editar_cli.modes.segmentation import palette

CANNY = MapSettings(mode="canny", extractor="opencv")
REGIONS = MapSettings(mode="segmentation", extractor="regions")


def step_photo(column: int) -> np.ndarray:
    """32 x 32, dark to the left of a column and bright from it on: one upright edge."""
    photo = np.full((32, 32, 3), 30, np.uint8)
    photo[:, column:] = 220
    return photo


def to_tensor(photos: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture(scope="module")
def editor(tiny_bundle: Path) -> Editor:
    return Editor.load(str(tiny_bundle), device="cpu", dtype="float32")


class Answers:
    """Stands for the engine: gives the pictures it was told to, one after another."""

    def __init__(self, outputs: list[np.ndarray], rebuilt: list[np.ndarray]) -> None:
        self.outputs, self.rebuilt = list(outputs), list(rebuilt)
        self.asked: list[tuple[np.ndarray, str, int]] = []

    def edit(self, pixels, instructions, seeds, sampling, on_step, *, slots) -> Any:
        squares = ((pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        self.asked += zip(squares, instructions, seeds, strict=True)
        on_step(1, 2)
        on_step(2, 2)
        made, self.outputs = self.outputs[: len(pixels)], self.outputs[len(pixels) :]
        return SimpleNamespace(decoded_edited=to_tensor(made))

    def encode(self, pixels):
        return torch.zeros(len(pixels), 8, 8, dtype=torch.int64)

    def detokenize(self, codes):
        made, self.rebuilt = self.rebuilt[: len(codes)], self.rebuilt[len(codes) :]
        return to_tensor(made)


def run(
    editor: Editor,
    photos: dict[str, np.ndarray],
    settings: MapSettings,
    answers: Answers | None = None,
    **more: Any,
) -> ModeResult:
    with pytest.MonkeyPatch.context() as patch:
        if answers is not None:
            patch.setattr(editor, "engine", answers)
        given = {"captions": {}, "seed": 3, "slots": 2, **more}
        return run_mode(photos, editor, editor.options(), settings, **given)


def test_agreement_by_hand(editor: Editor):
    photos = {"a": step_photo(10), "b": step_photo(16), "c": step_photo(22)}
    # As asked, a pixel aside, two pixels aside.
    outputs = [step_photo(10), step_photo(17), step_photo(24)]
    result = run(editor, photos, CANNY, Answers(outputs, [step_photo(11)] * 3))
    assert [row.output for row in result.rows] == [
        {"f1_near": 1.0, "f1": 1.0}, {"f1_near": 1.0, "f1": 0.0}, {"f1_near": 0.0, "f1": 0.0},
    ]  # fmt: skip
    assert result.output == {"f1_near": pytest.approx(2 / 3), "f1": pytest.approx(1 / 3)}
    # The tokenizer's edge lies a pixel from that of the first alone.
    assert [row.tokenizer["f1_near"] for row in result.rows] == [1.0, 0.0, 0.0]
    assert result.tokenizer == {"f1_near": pytest.approx(1 / 3), "f1": 0.0}
    # No output has its edge where another photograph has it.
    assert result.shuffled == {"f1_near": 0.0, "f1": 0.0}
    assert (result.mode, result.extractor, result.photos) == ("canny", "opencv", 3)


def test_shuffled_compares_outputs_with_the_maps_of_others(editor: Editor):
    names = "abcde"
    photos = {name: step_photo(6 + 4 * i) for i, name in enumerate(names)}
    # Each output shows the edge of the photograph after it.
    outputs = [step_photo(6 + 4 * ((i + 1) % 5)) for i in range(5)]
    result = run(editor, photos, CANNY, Answers(outputs, [step_photo(30)] * 5))
    assert result.output["f1_near"] == 0
    share = np.mean([shift % 5 == 1 for shift in SHIFTS if shift % 5])
    assert 0 < share < 1
    assert [row.shuffled["f1"] for row in result.rows] == [pytest.approx(share)] * 5


def test_a_photograph_is_not_its_own_chance(editor: Editor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(translation, "SHIFTS", (1, 2, 4))
    photos = {"a": step_photo(10), "b": step_photo(20)}
    result = run(editor, photos, CANNY, Answers(list(photos.values()), [step_photo(9)] * 2))
    assert result.output["f1"] == 1 and result.shuffled["f1"] == 0


def test_regions_are_compared_whatever_their_colours(editor: Editor):
    low = np.full((32, 32, 3), (40, 90, 200), np.uint8)
    low[24:] = (90, 60, 20)
    photos = {"low": low, "high": np.ascontiguousarray(low[::-1])}
    other = np.full((32, 32, 3), (220, 220, 220), np.uint8)
    other[24:] = (10, 10, 10)
    result = run(editor, photos, REGIONS, Answers([other, other], [low, low]))
    right, wrong = result.rows
    assert right.output["miou"] > 0.9 and right.output["boundary_f1"] > 0.9
    assert wrong.output["miou"] < 0.75 and wrong.output["boundary_f1"] < 0.6
    assert right.shuffled == wrong.output and wrong.shuffled == right.output
    colours = {tuple(colour) for colour in palette(6).tolist()}
    assert {tuple(c) for c in result.sheet[0][1].reshape(-1, 3).tolist()} <= colours


def test_the_model_is_given_map_prompt_caption_and_seed(editor: Editor):
    photos = {"a.jpg": step_photo(10), "b.jpg": step_photo(20)}
    answers = Answers(list(photos.values()), list(photos.values()))
    result = run(editor, photos, CANNY, answers, captions={"b.jpg": "a wall"}, seed=5)
    for (square, _, _), photo in zip(answers.asked, photos.values(), strict=True):
        assert np.array_equal(square, canny_map(photo))
    assert [words for _, words, _ in answers.asked] == [PROMPT, PROMPT + "a wall"]
    seeds = [image_seed(5, f"canny/{name}") for name in photos]
    assert [seed for _, _, seed in answers.asked] == seeds == [row.seed for row in result.rows]


def test_progress_ends_with_all_done(editor: Editor):
    photos = {str(i): step_photo(8 + 4 * i) for i in range(5)}
    told: list[tuple[float, str]] = []
    answers = Answers(list(photos.values()), list(photos.values()))
    run(editor, photos, CANNY, answers, on_progress=lambda done, what: told.append((done, what)))
    assert [done for done, _ in told] == [2.5, 5]
    assert {what for _, what in told} == {"canny"}


@pytest.fixture(scope="module")
def real(editor: Editor) -> tuple[dict[str, np.ndarray], ModeResult]:
    """Four photographs of another aspect than the model's, by the tiny model."""
    photos = {}
    for i in range(4):
        noise = np.random.default_rng(i).integers(0, 256, (4, 5, 3)).astype(np.uint8)
        photos[str(i)] = np.asarray(Image.fromarray(noise).resize((80, 48), Image.Resampling.BOX))
    return photos, run(editor, photos, CANNY)


def test_a_real_model_is_judged_by_the_maps_of_its_pictures(
    editor: Editor, real: tuple[dict[str, np.ndarray], ModeResult]
):
    _, result = real
    agreement = load_mode("canny").agreement
    assert len(result.sheet) == 4
    for row, (seen, given, output) in zip(result.rows, result.sheet, strict=True):
        assert seen.shape == given.shape == output.shape == (32, 32, 3)
        assert np.array_equal(given, canny_map(seen))
        assert row.output == agreement(given, canny_map(output))
        with torch.inference_mode():
            codes = editor.bundle.tokenizer.encode(to_tensor([seen]))
            back = editor.bundle.tokenizer.decode(codes).clamp(-1, 1)[0]
        rebuilt = ((back + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        assert row.tokenizer == agreement(given, canny_map(rebuilt))
    for name in result.output:
        assert result.output[name] == pytest.approx(np.mean([r.output[name] for r in result.rows]))


def test_figures_are_the_same_in_other_batches(
    editor: Editor, real: tuple[dict[str, np.ndarray], ModeResult]
):
    photos, result = real
    assert run(editor, photos, CANNY, slots=3).rows == result.rows


def test_the_sheet_has_evenly_spaced_photographs(editor: Editor):
    photos = {str(i): step_photo(4 + 3 * i) for i in range(8)}
    answers = Answers(list(photos.values()), list(photos.values()))
    result = run(editor, photos, CANNY, answers, sheet_photos=3)
    columns = [int(seen[0, :, 0].argmax()) for seen, _, _ in result.sheet]
    assert columns == [4 + 3 * i for i in (0, 2, 5)]


def test_the_table_has_a_line_for_each_figure(editor: Editor):
    photos = {"a": step_photo(10), "b": step_photo(20)}
    answers = Answers(list(photos.values()), list(photos.values()))
    lines = figures([run(editor, photos, CANNY, answers)])
    assert HEADERS == ("mode", "figure", "photos", "output", "shuffled", "tokenizer")
    assert lines == [
        ("canny (opencv)", "f1 near", "2", "1.000", "0.000", "1.000"),
        ("canny (opencv)", "f1", "2", "1.000", "0.000", "1.000"),
    ]


@pytest.mark.parametrize(("count", "size"), [(2, (192, 32)), (4, (192, 64)), (5, (192, 96))])
def test_every_picture_of_the_sheet_is_shown(
    editor: Editor, tmp_path: Path, count: int, size: tuple[int, int]
):
    photos = {str(i): step_photo(6 + 4 * i) for i in range(count)}
    answers = Answers(list(photos.values()), list(photos.values()))
    result = run(editor, photos, CANNY, answers)
    write_translation_report(tmp_path, [result], {})
    sheet = np.asarray(Image.open(tmp_path / "sheet-canny.png"))
    assert (sheet.shape[1], sheet.shape[0]) == size
    for i, pictures in enumerate(result.sheet):
        row, column = divmod(i, 2)
        part = sheet[32 * row : 32 * (row + 1), 96 * column : 96 * (column + 1)]
        assert np.array_equal(part, np.concatenate(pictures, axis=1))
