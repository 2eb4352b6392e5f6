"""In which order a climb's trainings are begun, and in which their results come."""

from dataclasses import dataclass, field

import pytest

from escada.ladder.workers import InTurn, SideBySide


@dataclass
class Pretended:
    """A training that takes no time and is its own run."""

    name: str
    seed: int
    begun: list = field(repr=False)

    def run(self, say, launcher=None):
        self.begun.append((self.name, self.seed))
        return self


@pytest.fixture
def side_by_side():
    places = SideBySide(1)  # one place, so that the order is known
    yield places
    places.stop()


def results(work, begun):
    trainings = [Pretended(name, seed, begun) for seed in (0, 1) for name in ("v1", "v2", "v3")]
    done = work.finish(trainings, print, lambda run: True, lambda run: False)
    return [(run.name, run.seed) for run, _ in done]


def test_side_by_side_the_top_of_the_ladder_is_begun_first_seed_by_seed(side_by_side):
    begun = []
    assert results(side_by_side, begun) == sorted(begun, key=lambda one: (one[1], one[0]))
    assert begun == [*(("v3", 0), ("v2", 0), ("v1", 0)), *(("v3", 1), ("v2", 1), ("v1", 1))]


def test_in_turn_they_are_done_from_the_first_to_the_last():
    begun = []
    assert results(InTurn(), begun) == begun
