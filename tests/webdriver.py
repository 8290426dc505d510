"""A browser for tests: headless Chromium through its driver's plain HTTP, nothing to install."""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
]
KEYS = {"Left": "\ue012", "Up": "\ue013", "Right": "\ue014", "Down": "\ue015"} | {
    "Enter": "\ue007", "Escape": "\ue00c", "Home": "\ue011", "End": "\ue010"
}  # fmt: skip


def missing() -> str | None:
    """Why there is no browser here, or ``None``."""
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        return "no Chromium here"
    return None if shutil.which("chromedriver") else "no chromedriver here"


class Browser:
    """One window.

    Args:
        session: the driver's address of it.
    """

    def __init__(self, session: str) -> None:
        self._session = session

    def _ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return ask(f"{self._session}/{path}", body)

    def open(self, page: Path) -> None:
        """Show a file from disk."""
        self._ask("url", {"url": page.absolute().as_uri()})

    def run(self, script: str, *args: object) -> Any:
        """What a function body in JavaScript returns."""
        return self._ask("execute/sync", {"script": script, "args": args})

    def devtools(self, command: str, **parameters: object) -> Any:
        """Chromium's own protocol."""
        return self._ask("goog/cdp/execute", {"cmd": command, "params": parameters})

    def window(self, width: int, height: int, *, scale: float = 1, touch: bool = False) -> None:
        """As on a screen of this size in CSS pixels."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=touch,
        )  # fmt: skip
        self.devtools("Emulation.setTouchEmulationEnabled", enabled=touch, maxTouchPoints=1)

    def scheme(self, name: str) -> None:
        """``light`` or ``dark``."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.devtools("Emulation.setEmulatedMedia", features=[feature])

    def press(self, *keys: str) -> None:
        """Keys one after the other."""
        actions = [
            {"type": kind, "value": KEYS.get(key, key)}
            for key in keys
            for kind in ("keyDown", "keyUp")
        ]
        self._ask("actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def drag(self, start: tuple[float, float], *stops: tuple[float, float], kind: str) -> None:
        """Press at a point of the window, move and let go; ``kind`` is mouse or touch."""
        moves = [
            {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
            for x, y in (start, *stops)
        ]
        down, up = ({"type": name, "button": 0} for name in ("pointerDown", "pointerUp"))
        pointer = {
            "type": "pointer", "id": kind, "parameters": {"pointerType": kind},
            "actions": [moves[0], down, *moves[1:], up],
        }  # fmt: skip
        self._ask("actions", {"actions": [pointer]})

    def wait(self, condition: str, *, seconds: float = 10) -> None:
        """Until an expression in JavaScript is true."""
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, f"never came true: {condition}"
            time.sleep(0.05)

    def shoot(self, file: Path) -> bytes:
        """A PNG of the window."""
        data = base64.b64decode(self._ask("screenshot"))
        file.write_bytes(data)
        return data

    def complaints(self) -> list[str]:
        """What the page's console said in earnest since it was asked last."""
        log = self._ask("se/log", {"type": "browser"})
        return [line["message"] for line in log if line["level"] == "SEVERE"]


def ask(url: str, body: Mapping[str, Any] | None = None, *, method: str | None = None) -> Any:
    """One question to the driver."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    request.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.read().decode()}") from error


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A fresh browser; ``profile`` is an empty folder for what it keeps."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    root = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                if ask(f"{root}/status")["ready"]:
                    break
            time.sleep(0.05)
        chrome = {"args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        asked = {"capabilities": {"alwaysMatch": {"browserName": "chrome", **wanted}}}
        session = f"{root}/session/{ask(f'{root}/session', asked)['sessionId']}"
        try:
            yield Browser(session)
        finally:
            ask(session, method="DELETE")
    finally:
        driver.terminate()
        driver.wait(30)
