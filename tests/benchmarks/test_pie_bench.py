"""PIE-Bench's figures: of one edit, of folders of other programs, and with what is missing."""

import json

import numpy as np
import pytest
from PIL import Image

from editar_cli.benchmarks.layouts import Outputs, choose_layout
from editar_cli.benchmarks.networks import Networks
from editar_cli.benchmarks.pie_bench import COLUMNS, edit_jobs, named, result_of, score
from editar_cli.benchmarks.pie_data import read_pie_bench
from editar_cli.benchmarks.published import PIE_BENCH
from editar_cli.benchmarks.results import table
from editar_cli.metrics.pixels import compare_pixels

PIXELS = ("psnr_unedit_part", "mse_unedit_part", "ssim_unedit_part")


@pytest.fixture
def data(tmp_path):
    """Two edits of two pictures, the left half to be edited."""
    folder = tmp_path / "pie"
    runs = [number for row in range(512) for number in (row * 512, 256)]
    table = {}
    rng = np.random.default_rng(0)
    for number, kind in enumerate(("0", "8")):
        image = f"{kind}_kind/{number}.jpg"
        path = folder / "annotation_images" / image
        path.parent.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)).save(path)
        table[f"00{number}"] = {
            "image_path": image, "original_prompt": "a", "editing_prompt": "[b]",
            "editing_instruction": "make it b", "editing_type_id": kind, "mask": runs,
        }  # fmt: skip
    (folder / "mapping_file.json").write_text(json.dumps(table))
    return folder


@pytest.fixture
def networks(tmp_path):
    none = tmp_path / "none"
    return Networks({"structure": none, "lpips": none, "clip": none})


def scored(cases, data, folder, networks):
    outputs = Outputs(folder, choose_layout(folder, "edits"), named(cases))
    return list(score(cases, data, outputs, networks))


def changed(path, side=512):
    """The source with its edited half inverted."""
    pixels = np.asarray(Image.open(path)).copy()
    pixels[:, :256] = 255 - pixels[:, :256]
    return Image.fromarray(pixels).resize((side, side))


def test_what_is_kept_is_compared_outside_the_mask_only(data, tmp_path, networks):
    cases = read_pie_bench(data)
    out = tmp_path / "out"
    for case in cases:
        path = (out / case.image).with_suffix(".png")
        path.parent.mkdir(parents=True)
        changed(data / "annotation_images" / case.image).save(path)
    rows = scored(cases, data, out, networks)
    assert [row.error for row in rows] == [None, None]
    # But for the border, which belongs to the mask, all that differs is inside it.
    assert all(row.values["mse_unedit_part"] == 0 for row in rows)
    assert all(row.values["psnr_unedit_part"] == float("inf") for row in rows)
    assert set(networks.missing) == {"structure", "lpips", "clip"}
    assert rows[0].values["structure_distance"] is None
    result = result_of(rows, networks, title="PIE-Bench", label="this run")
    assert result.types == ["random", "change background"]
    first, *rest = table(result)
    assert first[:3] == ("this run", "2", "missing")
    assert [row[0] for row in rest] == [*result.types, *PIE_BENCH.rows]


def test_a_missing_and_a_broken_output_are_rows_with_a_reason(data, tmp_path, networks):
    cases = read_pie_bench(data)
    out = tmp_path / "out"
    (out / "0_kind").mkdir(parents=True)
    (out / "0_kind" / "0.png").write_bytes(b"broken")
    rows = scored(cases, data, out, networks)
    assert "0.png" in rows[0].error
    assert "holds no output for 8_kind/1.jpg" in rows[1].error
    means = result_of(rows, networks, title="", label="").means()
    assert (means["psnr_unedit_part"].mean, means["psnr_unedit_part"].missing) == (None, 2)


def test_of_a_strip_the_last_square_counts(data, tmp_path, networks):
    case = read_pie_bench(data)[0]
    source = Image.open(data / "annotation_images" / case.image)
    strip = Image.new("RGB", (4 * 512, 512))
    strip.paste(source, (3 * 512, 0))
    out = tmp_path / "out"
    out.mkdir()
    strip.save(out / "0.png")
    (row,) = scored([case], data, out, networks)
    assert row.values["mse_unedit_part"] == 0


def test_outputs_of_another_size_are_compared_at_512(data, tmp_path, networks):
    case = read_pie_bench(data)[0]
    source = Image.open(data / "annotation_images" / case.image)
    out = tmp_path / "out"
    out.mkdir()
    small = source.resize((128, 128), Image.Resampling.LANCZOS)
    small.save(out / "0.png")
    (row,) = scored([case], data, out, networks)
    large = np.asarray(small.resize((512, 512), Image.Resampling.LANCZOS))
    expected = compare_pixels(np.asarray(source), large, ~case.mask())
    assert [row.values[name] for name in PIXELS] == [expected.psnr, expected.mse, expected.ssim]


def test_jobs_are_png_named_as_their_sources(data, tmp_path):
    first, second = edit_jobs(read_pie_bench(data), data, tmp_path / "run")
    assert first.source == data / "annotation_images/0_kind/0.jpg"
    assert first.output == tmp_path / "run/output/0_kind/0.png"
    assert (second.key, second.instruction) == ("8_kind/1.jpg", "make it b")


def test_published_rows_have_the_tables_columns():
    assert list(PIE_BENCH.columns) == [column.name for column in COLUMNS]
    assert all(len(row) == len(COLUMNS) for row in PIE_BENCH.rows.values())
