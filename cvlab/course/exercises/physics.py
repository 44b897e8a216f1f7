"""The exercises of notebook 17: right answers, and the mistakes that readers make."""

from typing import Any, Final

import numpy as np

from cvlab.course.exercises.judging import Array, Exercise

_rng = np.random.default_rng(14)


def _energy(couplings: Array, state: Array) -> float:
    """Minus the sum over all pairs, each of them once."""
    return -float(state @ np.triu(couplings, 1) @ state)


def _by_flipping(couplings: Array, state: Array, neuron: int) -> float:
    """Energy after the flip minus energy before it."""
    flipped = state.copy()
    flipped[neuron] *= -1
    return _energy(couplings, flipped) - _energy(couplings, state)


def _attend(memories: Array, cue: Array, beta: float) -> Array:
    """One step of the modern Hopfield network; the largest vote is set to 1 to avoid overflow."""
    similarity = beta * memories @ cue
    votes = np.exp(similarity - similarity.max())
    return np.asarray(votes @ memories / votes.sum())


def _of_all_at_once(answer: Any, *case: Any) -> tuple[bool, bool, bool]:
    """Of couplings and a state: are they allowed, does the state move, does it come back?"""
    couplings, start = (np.asarray(part, dtype=float) for part in answer)
    once = np.where(couplings @ start >= 0, 1, -1)
    twice = np.where(couplings @ once >= 0, 1, -1)
    allowed = np.array_equal(couplings, couplings.T) and not np.diag(couplings).any()
    return (
        bool(allowed and np.all(np.abs(start) == 1)),
        not np.array_equal(once, start),
        bool(np.array_equal(twice, start)),
    )


_half = np.triu(_rng.normal(size=(6, 6)), 1)
_MAGNETS: Final = _half + _half.T
_STATE: Final = np.array([1, -1, -1, 1, 1, -1])
_MEMORIES: Final = _rng.normal(size=(5, 8))

EXERCISES: Final = {
    "17.1": Exercise(
        truth=_by_flipping,
        cases=((_MAGNETS, _STATE, 0), (_MAGNETS, _STATE, 2), (_MAGNETS, -_STATE, 3)),
        why="Only the pairs with this neuron change, and each of them changes its sign.",
        mistakes={
            "The sign is the wrong way round: against the pull of its neighbors a flip "
            "costs energy.": lambda w, s, i: -2 * s[i] * (w[i] @ s),
            "A factor of 2 is missing: a pair goes from + to −, not from + to 0.": lambda w, s, i: (
                s[i] * (w[i] @ s)
            ),
            "That is the pull on the neuron. Whether following it costs or gains depends on where "
            "the neuron points now.": lambda w, s, i: 2 * (w[i] @ s),
        },
    ),
    "17.2": Exercise(
        truth=lambda: (np.array([[0, 1], [1, 0]]), np.array([1, -1])),
        cases=((),),
        look=_of_all_at_once,
        why="All neurons jump to where the others were, and the others have left. One at a time "
        "this cannot happen, since each flip lowers the energy.",
        mistakes={
            "This state stays where it is. Look for one in which the neurons chase "
            "each other.": lambda: (np.array([[0, 1], [1, 0]]), np.array([1, 1])),
            "This state moves and comes to rest elsewhere. It should come back to where it "
            "started.": lambda: (np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), np.array([1, 1, -1])),
            "These couplings are not allowed: they must be symmetric, with zeros on the diagonal, "
            "and states are +1 and -1.": lambda: (np.array([[-1, 0], [0, -1]]), np.array([1, 1])),
        },
    ),
    "17.3": Exercise(
        truth=_attend,
        cases=(
            (_MEMORIES, _MEMORIES[2] + 0.1, 1.0),
            (_MEMORIES, _MEMORIES[0], 1e-6),
            (_MEMORIES, 40 * _MEMORIES[1], 30.0),
        ),
        why="With a small beta all memories are mixed, with a large one the most similar wins "
        "alone.",
        mistakes={
            "Beta is applied to the votes after the softmax. It belongs inside, where it says how "
            "much a difference in "
            "similarity counts.": lambda x, cue, beta: beta * _attend(x, cue, 1.0),
            "The votes do not add up to 1: divide by their sum.": lambda x, cue, beta: (
                np.exp(beta * x @ cue - (beta * x @ cue).max()) @ x
            ),
            "The best memory takes it all. That is the limit of a very "
            "large beta.": lambda x, cue, beta: x[np.argmax(x @ cue)],
        },
    ),
}
