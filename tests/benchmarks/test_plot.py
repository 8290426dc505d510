"""The plot says the same as SVG and as a picture, and what it says is where it should be."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from editar_cli.benchmarks.plot import COLOURS, SHARPNESS, Plot, Series, Spot, picture, svg

SVG = "{http://www.w3.org/2000/svg}"


def plot(**more):
    spots = [
        Spot(x=0.0, y=10.0, label="1", x_bounds=(-0.1, 0.1), y_bounds=(9.0, 11.0)),
        Spot(x=0.5, y=20.0, label="<3>"),
        Spot(x=1.0, y=30.0, label="5"),
    ]
    series = [Series(name="seed 1", spots=spots)]
    return Plot(x_title="following", y_title="kept", series=series, **more)


def drawn(plot):
    """Circles (x, y, fill), lines and texts with their places."""
    root = ElementTree.fromstring(svg(plot))
    circles = [
        (float(c.get("cx")), float(c.get("cy")), c.get("fill")) for c in root.iter(f"{SVG}circle")
    ]
    lines = [
        (*(float(line.get(end)) for end in ("x1", "y1", "x2", "y2")), line.get("stroke"))
        for line in root.iter(f"{SVG}line")
    ]
    texts = {t.text: (float(t.get("x")), float(t.get("y"))) for t in root.iter(f"{SVG}text")}
    return circles, lines, texts


def test_spots_lie_to_scale_with_their_labels_intervals_and_line():
    circles, lines, texts = drawn(plot())
    (x0, y0, _), (x1, y1, _), (x2, y2, _) = circles
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1) and y2 < y0, "up is more"
    # A tenth of the way across on both sides of the first spot, and a twentieth of the height.
    across, up = x2 - x0, y0 - y2
    line = [ends[:4] for ends in lines if ends[4] == COLOURS[0]]
    assert line == [(x0, y0, x1, y1), (x1, y1, x2, y2)]
    pale = [ends[:4] for ends in lines if ends[4] == "#7fb8d8"]
    assert pale[0] == pytest.approx((x0 - across / 10, y0, x0 + across / 10, y0), abs=0.1)
    assert pale[1] == pytest.approx((x0, y0 + up / 20, x0, y0 - up / 20), abs=0.1)
    assert {"1", "<3>", "5", "following", "kept"} <= texts.keys()
    # The ticks are where their numbers are.
    assert texts["0.4"][0] == pytest.approx(x0 + 0.4 * across, abs=0.1)
    assert texts["20"][1] == pytest.approx(y1, abs=0.1)


def test_the_picture_is_the_same_drawing():
    pixels = np.asarray(picture(plot()))
    circles, _, _ = drawn(plot())
    colour = tuple(int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5))
    for x, y, _ in circles:
        assert tuple(pixels[round(y * SHARPNESS), round(x * SHARPNESS)]) == colour
    assert (pixels[4, 4] == 255).all()


def test_several_series_have_colours_a_legend_and_lines_only_where_wanted():
    spots = [Spot(x=0.0, y=0.0, label="a"), Spot(x=1.0, y=1.0, label="b")]
    series = [
        Series(name="one", spots=spots, joined=False),
        Series(name="two", spots=spots, joined=True),
    ]
    circles, lines, texts = drawn(Plot(x_title="x", y_title="y", series=series))
    assert {"one", "two"} <= texts.keys()
    assert [fill for _, _, fill in circles].count(COLOURS[0]) == 3
    assert sum(line[4] == COLOURS[0] for line in lines) == 0
    assert sum(line[4] == COLOURS[1] for line in lines) == 1
    assert "seed 1" not in drawn(plot())[2]


def test_one_spot_alone_and_values_of_any_size_can_be_drawn():
    for value in (0.0, 1e-6, -3e7):
        one = Plot(
            x_title="x",
            y_title="y",
            series=[Series(name="", spots=[Spot(x=value, y=value, label="here")])],
        )
        text = svg(one)
        assert '"nan"' not in text and len(re.findall("<circle", text)) == 1
