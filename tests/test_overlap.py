import threading
import time
from functools import partial

import pytest

from editar_cli.overlap import Workers

SECONDS = 30
"""How long a test waits for a thread before it fails."""


def test_results_come_back_to_the_owners_thread():
    threads, found = [], []

    def task(number):
        threads.append(threading.current_thread())
        return number

    def then(number):
        assert threading.current_thread() is threading.main_thread()
        found.append(number)

    with Workers(2) as workers:
        for number in range(10):
            workers.submit(partial(task, number), then)
        while len(found) < 10:
            workers.wait()
    assert sorted(found) == list(range(10))
    assert threading.main_thread() not in threads


def test_without_threads_tasks_are_done_where_they_are_handed_in():
    done, found = [], []
    workers = Workers(0)
    workers.submit(lambda: done.append(threading.current_thread()), found.append)
    assert done == [threading.main_thread()]
    assert found == []
    workers.wait()
    assert found == [None]
    with pytest.raises(ZeroDivisionError):
        workers.submit(lambda: 1 / 0, found.append)
    workers.close()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), MemoryError()])
def test_what_a_task_raises_is_raised_where_its_result_would_be(error):
    def fail():
        raise error

    with Workers(1) as workers:
        workers.submit(fail, lambda result: None)
        with pytest.raises(type(error)) as raised:
            workers.wait()
    assert raised.value is error


def test_urgent_tasks_go_first():
    order, begun, begin = [], threading.Event(), threading.Event()

    def first():
        begun.set()
        return begin.wait(SECONDS)

    with Workers(1) as workers:
        workers.submit(first, order.append)
        assert begun.wait(SECONDS)
        workers.submit(lambda: "usual", order.append)
        workers.submit(lambda: "urgent", order.append, urgent=True)
        begin.set()
        while len(order) < 3:
            workers.wait()
    assert order == [True, "urgent", "usual"]


def test_closing_does_what_is_usual_and_leaves_out_what_is_urgent():
    done, taken, begun, go = [], [], threading.Event(), threading.Event()

    def first():
        begun.set()
        assert go.wait(SECONDS)
        return 0

    workers = Workers(1)
    workers.submit(first, taken.append)
    assert begun.wait(SECONDS)
    for number in (1, 2):
        workers.submit(partial(done.append, number), taken.append)
    workers.submit(partial(done.append, "urgent"), taken.append, urgent=True)
    threading.Timer(0.05, go.set).start()
    workers.close()
    assert (done, taken) == ([1, 2], [0, None, None])


def test_closing_does_not_wait_for_an_urgent_task_and_raises_nothing():
    begun, go = threading.Event(), threading.Event()

    def stuck():
        begun.set()
        go.wait(SECONDS)

    workers = Workers(2)
    workers.submit(stuck, lambda result: None, urgent=True)
    assert begun.wait(SECONDS)
    workers.submit(lambda: 1 / 0, lambda result: None)
    workers.close()
    assert not go.is_set()
    go.set()


def test_threads_end_and_are_no_reason_for_the_program_not_to():
    before = set(threading.enumerate())
    with Workers(3):
        mine = set(threading.enumerate()) - before
        assert len(mine) == 3
        assert all(thread.daemon for thread in mine)
    deadline = time.monotonic() + SECONDS
    while any(thread.is_alive() for thread in mine):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_thread_that_waits_holds_nothing_of_what_it_did():
    import weakref

    class Picture:
        pass

    picture = Picture()
    gone = weakref.ref(picture)
    with Workers(1) as workers:
        workers.submit(partial(id, picture), lambda result: None)
        workers.wait()
        del picture
        workers.submit(lambda: None, lambda result: None)
        workers.wait()
        assert gone() is None
