"""One instruction over 500 pictures with the embedded model: memory, speed and the page of it."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from editar_cli.embedded import embedded_folder
from tests import webdriver
from tests.conftest import subprocess_settings

COUNT = 500
SETTLED = 50
"""Pictures after which all that is kept for good has been allocated."""
GROWTH = 48
"""MiB that memory may grow after that: some pictures are larger than all before them."""
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(embedded_folder() is None, reason="this checkout has no embedded model yet"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads memory as Linux tells it"),
]


def write_crops(folder: Path) -> None:
    """Crops of the examples, 200 to 640 px wide, each another."""
    draw = np.random.default_rng(500)
    sources = []
    for file in sorted(EXAMPLES.glob("*.jpg")):
        with Image.open(file) as image:
            sources.append(image.convert("RGB"))
    folder.mkdir()
    for number in range(COUNT):
        image = sources[number % len(sources)]
        width, height = int(draw.integers(200, 641)), int(draw.integers(150, 361))
        left = int(draw.integers(0, image.width - width + 1))
        top = int(draw.integers(0, image.height - height + 1))
        crop = image.crop((left, top, left + width, top + height))
        crop.save(folder / f"{number}.jpg", quality=92)


def resident(process: int) -> float:
    """Memory that a process has in RAM, in MiB; 0 where it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, list[tuple[float, float]]]:
    """The folder, and (seconds since the start, MiB) as each picture was done."""
    folder = tmp_path_factory.mktemp("many")
    write_crops(folder / "photos")
    words = ["edit", "photos", "make it snowy", "-o", "out", "--report", "out/report.html"]
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "editar_cli", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=subprocess_settings(),
    )
    errors: list[bytes] = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    reader.start()
    seen = [(time.monotonic() - start, resident(process.pid)) for _ in process.stdout]
    reader.join()
    assert process.wait() == 0, errors
    assert len(seen) == COUNT
    assert len(list((folder / "out").glob("*.jpg"))) == COUNT
    return folder, seen


def test_memory_does_not_grow_with_the_number_of_pictures(run):
    _, seen = run
    memory = np.array([mebibytes for _, mebibytes in seen])
    settled, later = memory[:SETTLED].max(), memory[SETTLED:]
    # The slope of a line through all of them: a leak of one small picture each would be 0.3.
    slope = np.polyfit(np.arange(len(later)), later, 1)[0]
    rate = (COUNT - SETTLED) / (seen[-1][0] - seen[SETTLED - 1][0])
    print(
        f"memory: {settled:.0f} MiB at most in the first {SETTLED}, {later.max():.0f} later, "
        f"{slope * COUNT:+.1f} per {COUNT}; {rate:.2f} pictures a second"
    )
    assert later.max() - settled < GROWTH
    assert slope * COUNT < GROWTH


@pytest.mark.skipif(webdriver.missing() is not None, reason=str(webdriver.missing()))
def test_the_report_opens_at_once(run, tmp_path):
    folder, _ = run
    with webdriver.browser(tmp_path) as window:
        window.window(1440, 900)
        window.open(folder / "out/report.html")
        window.wait("[...document.images].every((image) => image.complete && image.naturalWidth)")
        assert window.run("return document.querySelectorAll('.card').length") == COUNT
        # Those in sight and a few around them, not all.
        assert 0 < window.run("return document.images.length") < 120
        assert window.run(
            "const [page] = performance.getEntriesByType('navigation');"
            "return page.domContentLoadedEventEnd"
        ) < 3000  # fmt: skip
        assert window.complaints() == []
