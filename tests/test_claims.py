import os
import subprocess
import sys
from pathlib import Path

import pytest

from editar_cli import claims
from editar_cli.claims import NAME, Claims
from tests.conftest import subprocess_settings

OTHER = """
import sys
from pathlib import Path
from editar_cli.claims import Claims

claims = Claims(Path(sys.argv[1]))
for line in sys.stdin:
    verb, _, name = line.strip().partition(" ")
    if verb == "take":
        print(claims.take(name), flush=True)
    elif verb == "alone":
        with claims.alone() as alone:
            print(alone, flush=True)
    elif verb == "close":
        claims.close()
        print("closed", flush=True)
"""


class Other:
    """Claims of another process."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=subprocess_settings(),
        )

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def other(tmp_path):
    one = Other(tmp_path)
    yield one
    one.process.kill()
    one.process.communicate()


def test_a_name_is_one_processs_at_a_time(tmp_path, other):
    ours = Claims(tmp_path)
    assert ours.take("a.jpg")
    assert other.ask("take a.jpg") == "False"
    assert other.ask("take b.jpg") == "True"
    assert not ours.take("b.jpg")
    ours.give_back("a.jpg")
    assert other.ask("take a.jpg") == "True"
    ours.close()


def test_a_process_that_is_killed_lets_go_and_the_last_to_leave_cleans_up(tmp_path, other):
    ours = Claims(tmp_path)
    assert other.ask("take a.jpg") == "True"
    assert not ours.take("a.jpg")
    other.process.kill()
    other.process.wait()
    assert ours.take("a.jpg")
    ours.close()
    assert os.listdir(tmp_path) == []


def test_the_file_stays_while_another_process_is_there(tmp_path, other):
    ours = Claims(tmp_path)
    assert other.ask("take a.jpg") == "True"
    ours.close()
    assert os.listdir(tmp_path) == [NAME]
    again = Claims(tmp_path)
    assert not again.take("a.jpg")
    assert other.ask("close") == "closed"
    assert os.listdir(tmp_path) == [NAME]
    assert again.take("a.jpg")
    again.close()
    assert os.listdir(tmp_path) == []


def test_who_is_alone_knows_it(tmp_path, other):
    ours = Claims(tmp_path)
    assert other.ask("alone") == "False"
    ours.close()
    assert other.ask("alone") == "True"


def test_a_file_that_was_taken_away_meanwhile_is_made_anew(tmp_path):
    first = Claims(tmp_path)
    (tmp_path / NAME).unlink()
    second = Claims(tmp_path)
    assert (tmp_path / NAME).exists()
    second.close()
    first.close()
    assert os.listdir(tmp_path) == []


def test_without_locks_every_claim_is_granted_and_nothing_is_left(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(38, "no locks here")

    monkeypatch.setattr(claims._fcntl, "lockf", refuse)
    ours = Claims(tmp_path)
    assert not ours.works
    assert ours.take("a.jpg")
    ours.give_back("a.jpg")
    with ours.alone() as alone:
        assert not alone
    ours.close()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Claims(tmp_path / "file" / "out")


def test_the_file_is_hidden():
    assert Path(NAME).name.startswith(".")
