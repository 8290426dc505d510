"""The page of figures: what it shows, that it needs nothing else, and that nothing escapes it."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from editar_cli.benchmarks.page import histogram, write_page, write_pictures
from editar_cli.benchmarks.results import Column, Result, Row
from editar_cli.benchmarks.statistics import bootstrap_mean

COLUMN = Column(name="f1", title="F1 <b>", better="higher", digits=3)


@pytest.fixture
def result(tmp_path):
    rows = []
    for number in range(9):
        picture = tmp_path / f"{number}.png"
        Image.new("RGB", (64, 48), (28 * number, 80, 90)).save(picture)
        rows.append(
            Row(key=f"key-{number}", values={"f1": (number * 5 % 9) / 10}, text=f"<i>{number}",
                pictures={"map": picture, "output": picture})
        )  # fmt: skip
    rows.append(Row(key="gone", values={"f1": None}, error="no output"))
    return Result(benchmark="x", title="A <title>", label="run", columns=(COLUMN,), rows=rows)


def test_best_median_and_worst_are_those_of_the_figure(result, tmp_path):
    write_page(tmp_path / "report.html", result, pictures="pictures.html")
    page = (tmp_path / "report.html").read_text()
    groups = re.split(r"<h3>(Best|Median|Worst)</h3>", page)[1:]
    keys = {
        name: re.findall(r"</b> (key-\d)", text)
        for name, text in zip(groups[::2], groups[1::2], strict=True)
    }
    # Figures are 0.8 to 0.0 by nine pictures; the sixth and seventh have the highest.
    order = [row.key for row in sorted(result.rows[:9], key=lambda row: -(row.values["f1"] or 0))]
    assert keys == {"Best": order[:2], "Median": order[4:6], "Worst": order[:-3:-1]}
    assert "1 without this figure" in page and "higher is better; mean 0.400 [" in page
    assert page.count('<img src="data:image/jpeg;base64,') == 12


def test_the_page_loads_nothing_and_texts_stay_texts(result, tmp_path):
    write_page(tmp_path / "report.html", result, pictures="pictures.html")
    page = (tmp_path / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|pictures\.html")', page)
    assert "<script" not in page and "style=" not in page
    assert "<i>" not in page and "A &lt;title&gt;" in page and "F1 &lt;b&gt;" in page


def test_few_values_are_shown_without_ranks(result, tmp_path):
    few = Result(benchmark="x", title="t", label="r", columns=(COLUMN,), rows=result.rows[:2])
    write_page(tmp_path / "report.html", few, pictures="pictures.html")
    page = (tmp_path / "report.html").read_text()
    assert "Best first" in page and "Median" not in page
    none = Result(benchmark="x", title="t", label="r", columns=(COLUMN,), rows=result.rows[9:])
    write_page(tmp_path / "report.html", none, pictures="pictures.html")
    assert "No picture has this figure" in (tmp_path / "report.html").read_text()


def test_the_plot_has_a_bar_for_each_part_and_the_mean_in_its_place():
    values = [0.0, 0.0, 0.0, 1.0, 4.0]
    svg = ElementTree.fromstring(histogram(values, bootstrap_mean(values), COLUMN))
    bars = [bar for bar in svg.findall("rect") if bar.get("class") == "bar-of"]
    heights = np.array([float(bar.get("height", 0)) for bar in bars])
    assert np.allclose(heights / heights[0], [1, 1 / 3, 1 / 3], atol=0.01)
    (mean,) = (line for line in svg.findall("line") if line.get("class") == "mean")
    assert float(mean.get("x1", 0)) == pytest.approx(520 * 1 / 4, abs=0.1)
    assert [text.text for text in svg.findall("text")] == ["0.000", "4.000", "3 pictures"]


def test_equal_values_make_one_bar():
    svg = ElementTree.fromstring(histogram([2.0, 2.0], bootstrap_mean([2.0, 2.0]), COLUMN))
    assert sum(bar.get("class") == "bar-of" for bar in svg.findall("rect")) == 1


def test_all_pictures_have_their_figures_on_the_other_page(result, tmp_path):
    write_pictures(tmp_path / "pictures.html", result)
    page = (tmp_path / "pictures.html").read_text()
    assert page.count("F1 \\u003cb\\u003e: 0.") == 9 and "no output" in page
