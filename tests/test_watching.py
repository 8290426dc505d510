import os

import pytest

from editar_cli.watching import INTERVAL, QUIET, Stamp, Watch


class Clock:
    """Stands still unless it is moved; reading it may take time."""

    def __init__(self):
        self.now = 100.0
        self.each = 0.0

    def __call__(self):
        self.now += self.each
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock):
    return Watch(clock)


def test_a_file_is_given_once_it_has_stayed_as_it_is(tmp_path, watch, clock):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1")
    assert watch.look([file]) == []
    clock.now += QUIET / 2
    assert watch.look([file]) == []
    assert watch.restless == 1
    clock.now += QUIET / 2
    assert watch.look([file]) == [file]


def test_a_file_that_grows_waits_until_it_has_ended(tmp_path, watch, clock):
    file = tmp_path / "a.jpg"
    for length in range(5):
        file.write_bytes(b"1" * length)
        assert watch.look([file]) == []
        clock.now += 0.75 * QUIET
    assert watch.look([file]) == []
    clock.now += 0.25 * QUIET
    assert watch.look([file]) == [file]


def test_a_file_of_the_same_size_is_told_apart_by_its_time(tmp_path, watch, clock):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1")
    watch.look([file])
    clock.now += QUIET
    os.utime(file, ns=(5, 5))
    assert watch.look([file]) == []
    clock.now += QUIET
    assert watch.look([file]) == [file]


def test_what_is_settled_comes_again_only_when_it_changes(tmp_path, watch, clock):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1")
    watch.look([file])
    clock.now += QUIET
    assert watch.look([file]) == watch.look([file]) == [file]
    watch.settle([file])
    assert watch.restless == 0
    clock.now += 10 * QUIET
    assert watch.look([file]) == []
    file.write_bytes(b"22")
    assert watch.look([file]) == []
    clock.now += QUIET
    assert watch.look([file]) == [file]


def test_a_change_while_a_file_was_dealt_with_is_seen(tmp_path, watch, clock):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1")
    watch.look([file])
    clock.now += QUIET
    watch.look([file])
    file.write_bytes(b"22")
    watch.settle([file])
    watch.look([file])
    clock.now += QUIET
    assert watch.look([file]) == [file]


def test_a_file_that_was_replaced_by_its_result_does_not_come_again(tmp_path, watch, clock):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1")
    watch.look([file])
    clock.now += QUIET
    watch.look([file])
    file.write_bytes(b"22")
    watch.settle([file], replaced=True)
    watch.look([file])
    clock.now += QUIET
    assert watch.look([file]) == []


def test_a_file_that_has_gone_is_forgotten(tmp_path, watch, clock):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1")
    watch.look([file])
    clock.now += QUIET
    file.unlink()
    assert watch.look([file]) == []
    assert watch.restless == 0
    file.write_bytes(b"1")
    assert watch.look([file]) == []
    clock.now += QUIET
    assert watch.look([file]) == [file]
    file.unlink()
    watch.settle([file], replaced=True)
    assert watch.look([]) == []


def test_what_a_network_disk_says_of_a_file_is_checked_by_opening_it(
    tmp_path, watch, clock, monkeypatch
):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1" * 10)
    stale = Stamp(4, 7)
    monkeypatch.setattr(Stamp, "of", classmethod(lambda cls, path: stale))
    watch.look([file])
    clock.now += QUIET
    assert watch.look([file]) == []
    monkeypatch.undo()
    clock.now += QUIET
    assert watch.look([file]) == [file]


def test_looking_takes_a_tenth_of_the_time_at_most(tmp_path, watch, clock):
    watch.look([])
    assert watch.pause == INTERVAL
    clock.each = 3.0
    watch.look([])
    assert watch.pause == pytest.approx(30.0)
