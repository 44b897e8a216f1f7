"""The exercises of notebook 17: right answers, and the mistakes that readers make."""

from typing import Any, Final

import numpy as np

from cvlab.course.exercises.judging import Array, Exercise

_rng = np.random.default_rng(14)


def _overlap(patterns: Array, couplings: Array, *, together: bool = False) -> Array:
    """Overlap of each pattern with the state of rest that is reached from it, (P,)."""
    states = patterns.copy()
    for _ in range(20):
        before = states.copy()
        if together:
            states = np.where(states @ couplings >= 0, 1, -1)
        else:
            for neuron in range(states.shape[1]):
                states[:, neuron] = np.where(states @ couplings[neuron] >= 0, 1, -1)
        if np.array_equal(before, states):
            break
    return np.asarray((states * patterns).mean(axis=1))


def _until_failure(
    patterns: Array, *, diagonal: bool = False, newest: bool = False, together: bool = False
) -> int:
    """Store more and more patterns; the options are the readers' mistakes."""
    for stored in range(1, len(patterns) + 1):
        some = patterns[:stored]
        couplings = some.T @ some  # whole numbers, so no rounding decides about a sign
        if not diagonal:
            np.fill_diagonal(couplings, 0)
        overlap = _overlap(some, couplings, together=together)
        if (overlap[-1] if newest else overlap.mean()) < 0.95:
            return stored
    return len(patterns)


def _random_patterns(neurons: int, seed: int) -> Array:
    return np.random.default_rng(seed).choice([-1.0, 1.0], (neurons // 4, neurons))


def _hebb(patterns: Array, *, diagonal: bool = False) -> Array:
    """Add up agreement, pattern by pattern."""
    couplings = sum(np.outer(pattern, pattern) for pattern in patterns)
    return np.asarray(couplings if diagonal else couplings * (1 - np.eye(patterns.shape[1])))


def _up_to_a_factor(couplings: Any, images: Array) -> Array:
    scaled = np.asarray(couplings, dtype=float)
    most = np.abs(scaled).max()
    return np.asarray(scaled / most if most else scaled)


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


_IMAGES: Final = (_rng.random((4, 30)) < 0.4).astype(int)

EXERCISES: Final = {
    "17.1": Exercise(
        truth=_until_failure,
        cases=((_random_patterns(150, 2),), (_random_patterns(150, 6),)),
        why="Divide by the number of neurons: not far from 0.138, which holds for large networks.",
        mistakes={
            "Each neuron is coupled to itself and prefers to stay as it is: set the diagonal to "
            "0 each time.": lambda patterns: _until_failure(patterns, diagonal=True),
            "Only the newest pattern is tested. It disturbs those stored "
            "before it.": lambda patterns: _until_failure(patterns, newest=True),
            "That is the number of patterns with which recall still works. Asked is the one with "
            "which it fails.": lambda patterns: _until_failure(patterns) - 1,
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
        truth=lambda images: _hebb(2 * images - 1),
        cases=((_IMAGES,), (_IMAGES[:2],)),
        look=_up_to_a_factor,
        why="With 0 and 1 no coupling is negative: two pixels can agree, but never disagree. With "
        "-1 and +1 both count.",
        mistakes={
            "No coupling is negative: where one pixel is white and the other black, nothing is "
            "stored. What should such a pair contribute?": _hebb,
            "Each neuron is coupled to itself, and prefers to stay as it is.": lambda images: _hebb(
                2 * images - 1, diagonal=True
            ),
            "Black pixels contribute nothing yet: two black pixels agree as well.": lambda images: (
                _hebb(images) - _hebb(images, diagonal=True).mean()
            ),
            "You subtracted the mean image. That removes what all images share, and each of them "
            "needs it to be stored.": lambda images: _hebb(images - images.mean(axis=0)),
        },
    ),
}
