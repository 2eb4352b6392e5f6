"""Turns: what one client asks for does not delay another's first."""

from hypothesis import given
from hypothesis import strategies as st

from escada.serve.fair_queue import FairQueue, may_hold


def anybody(client):
    return True


def drain(queue, allowed=anybody):
    taken = []
    while found := queue.pop(allowed):
        taken.append(found)
    return taken


def test_clients_take_turns_and_each_is_served_in_order():
    queue = FairQueue()
    for client, item in [("a", 1), ("a", 2), ("a", 3), ("b", 10), ("c", 20), ("b", 11)]:
        queue.push(client, item)
    assert drain(queue) == [
        ("a", 1), ("b", 10), ("c", 20), ("a", 2), ("b", 11), ("a", 3)
    ]  # fmt: skip
    assert len(queue) == 0


def test_a_client_who_is_not_allowed_is_passed_over_and_keeps_his_turn():
    queue = FairQueue()
    for client in ("a", "a", "b", "b"):
        queue.push(client, client)
    assert queue.pop(lambda client: client != "a") == ("b", "b")
    assert queue.pop(anybody) == ("a", "a")
    assert queue.pop(lambda client: False) is None
    assert len(queue) == 2


def test_what_is_removed_is_gone_wherever_it_stood():
    queue = FairQueue()
    for item in range(6):
        queue.push("ab"[item % 2], item)
    assert sorted(queue.remove(lambda item: item in (0, 3, 4))) == [0, 3, 4]
    assert (len(queue), queue.count("a"), queue.count("b"), queue.count("c")) == (3, 1, 2, 0)
    assert drain(queue) == [("a", 2), ("b", 1), ("b", 5)]


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_nobody_waits_for_more_than_one_of_each_other_client(arrivals):
    queue = FairQueue()
    for number, client in enumerate(arrivals):
        queue.push(client, number)
    taken = drain(queue)
    assert sorted(item for _, item in taken) == list(range(len(arrivals)))
    for client in set(arrivals):
        places = [place for place, (who, _) in enumerate(taken) if who == client]
        assert [taken[place][1] for place in places] == sorted(taken[place][1] for place in places)
        others = len(set(arrivals)) - 1
        gaps = [b - a for a, b in zip([-1, *places], places, strict=False)]
        assert max(gaps) <= others + 1


def test_one_client_holds_half_and_the_next_one_half_of_the_rest():
    def most(places, others):
        own = 0
        while may_hold(own, places - others - own):
            own += 1
        return own

    assert most(64, 0) == 32
    assert most(64, 32) == 16
    assert most(64, 63) == 1
    assert most(1, 0) == 1
    assert most(4, 4) == 0
    assert may_hold(0, 5, 5)
    assert not may_hold(1, 5, 5)
