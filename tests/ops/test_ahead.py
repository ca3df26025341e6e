"""Items arrive in order, one is made while another is used, and errors arrive where they belong."""

import threading

import pytest

from ps3d.ops.ahead import ahead


def test_order_and_end():
    assert list(ahead(range(5))) == [0, 1, 2, 3, 4]
    assert list(ahead([])) == []
    assert list(ahead([None, None])) == [None, None]


def test_the_next_item_is_made_while_this_one_is_used():
    made = [threading.Event() for _ in range(3)]

    def make():
        for event in made:
            event.set()
            yield event

    for place, _ in enumerate(ahead(make())):
        assert all(event.wait(5) for event in made[: place + 2])


def test_an_error_is_raised_where_its_item_is_taken():
    items = ahead(10 // divisor for divisor in (2, 1, 0))
    assert [next(items), next(items)] == [5, 10]
    with pytest.raises(ZeroDivisionError):
        next(items)


def test_leaving_early_stops_the_making():
    made = []
    items = ahead(made.append(number) or number for number in range(100))
    assert next(items) == 0
    items.close()
    assert len(made) <= 2
