import threading

import pytest

from leopard.inference.ahead import made_ahead


def test_items_come_in_order():
    assert list(made_ahead(range(50))) == list(range(50))
    assert list(made_ahead([])) == []


def test_items_are_made_in_another_thread_while_one_is_used():
    second = threading.Event()

    def items():
        yield threading.current_thread().name
        second.set()
        yield threading.current_thread().name

    source = made_ahead(items())
    assert next(source) == "leopard-ahead"
    assert second.wait(timeout=10)
    assert list(source) == ["leopard-ahead"]


def test_no_more_are_made_than_may_wait():
    made = []
    full = threading.Event()

    def items():
        for number in range(100):
            made.append(number)
            if number == 3:
                full.set()
            yield number

    source = made_ahead(items(), most=2)
    assert next(source) == 0
    assert full.wait(timeout=10)
    source.close()
    assert len(made) <= 5


def test_error_is_raised_in_its_place():
    def items():
        yield 1
        raise ValueError("torn page")

    source = made_ahead(items())
    assert next(source) == 1
    with pytest.raises(ValueError, match="torn page"):
        next(source)


def test_thread_ends_when_the_reader_goes_away():
    before = threading.active_count()
    source = made_ahead(iter(int, 1))
    assert next(source) == 0
    source.close()
    assert threading.active_count() == before
