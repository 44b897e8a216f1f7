"""The exercises of notebooks 09, 13 and 14: right answers, and the mistakes readers make."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from math import ceil, comb, log
from typing import Any, Final

import numpy as np
from scipy import stats

from cvlab.course.exercises.judging import Array, Exercise

# 09: what networks are made of -------------------------------------------------------------


def _inception_parameters(channels: int, filters: tuple[int, ...], mistake: str = "") -> int:
    """Branch by branch; `mistake` names one that readers make."""
    one, reduce3, three, reduce5, five, pool = filters
    seen3, seen5 = (channels,) * 2 if mistake == "not reduced" else (reduce3, reduce5)
    windows = [(1, channels, one), (1, channels, reduce3), (1, channels, reduce5)]
    windows += [(3, seen3, three), (5, seen5, five)]
    if mistake != "nothing after pooling":
        windows.append((1, channels, pool))
    bias = mistake != "no bias"
    return sum((size**2 * seen + bias) * made for size, seen, made in windows)


def _repaired(labels: Array, class_names: tuple[str, ...]) -> Array:
    """Look up each name."""
    folders = sorted(class_names)
    return np.array([class_names.index(folders[label]) for label in labels])


def _attention(image_size: int, patch: int, width: int) -> int:
    """Ask Keras for the kernels of the layer; each is applied once per token."""
    import keras  # noqa: PLC0415 (Keras takes seconds to import)

    tokens = 1 + len(range(0, image_size, patch)) ** 2
    attention = keras.layers.MultiHeadAttention(1, width)
    attention.build((None, tokens, width), (None, tokens, width))
    kernels = sum(int(np.prod(one.shape)) for one in attention.weights if one.name == "kernel")
    # Each query is compared with all keys, and all values are averaged for it.
    return tokens * kernels + 2 * tokens**2 * width


def _attention_by_rule(
    image_size: int, patch: int, width: int, *, extra: int = 1, dense: int = 4, products: int = 2
) -> int:
    """By formula; the options are the readers' mistakes."""
    tokens = extra + (image_size // patch) ** 2
    return dense * tokens * width**2 + products * tokens**2 * width


# 13: what trains, what moves, how fast statistics drift ----------------------------------


def _weights_that_train(stack: list[tuple[str, bool, bool]]) -> int:
    """Ask Keras: build the layers and count."""
    from keras import layers  # noqa: PLC0415 (Keras takes seconds to import)

    make: dict[str, Callable[[bool], Any]] = {
        "conv": lambda bias: layers.Conv2D(4, 3, padding="same", use_bias=bias),
        "norm": lambda _: layers.BatchNormalization(),
        "pool": lambda _: layers.MaxPooling2D(2),
    }
    found = 0
    for kind, has_bias, trainable in stack:
        layer = make[kind](has_bias)
        layer.build((None, 8, 8, 4))
        layer.trainable = trainable
        found += len(layer.trainable_weights)
    return found


def _count(
    stack: list[tuple[str, bool, bool]], *, norm: int = 2, bias: bool = True, frozen: bool = False
) -> int:
    """Count by rule; the options are the readers' mistakes."""
    weights = {"conv": 1, "norm": norm, "pool": 0}
    return sum(
        weights[kind] + (kind == "conv" and (has_bias or not bias))
        for kind, has_bias, trainable in stack
        if trainable or frozen
    )


_rng = np.random.default_rng(13)
_INPUTS: Final = _rng.normal(size=(32, 6)).astype("float32")
_TARGETS: Final = _rng.normal(size=(32, 1)).astype("float32")


def _small_network() -> Any:
    """The network of notebook 13: the same weights each time, not compiled."""
    import keras  # noqa: PLC0415

    base = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, name="early"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(4, name="late"),
        ],
        name="base",
    )
    network = keras.Sequential([keras.Input((6,)), base, keras.layers.Dense(1, name="head")])
    random = np.random.default_rng(0)
    network.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in network.weights])
    return network


def _moving(*moved: str) -> Callable[..., Any]:
    """Answer with a network in which exactly these layers have moved, without training it."""

    def answer(build: Callable[[], Any], x: Any, y: Any) -> Any:
        network = build()
        for name, layer in _parts(network).items():
            if name in moved:
                layer.set_weights([weight + 0.1 for weight in layer.get_weights()])
        return network

    return answer


def _parts(network: Any) -> dict[str, Any]:
    base = network.get_layer("base")
    return {name: base.get_layer(name) for name in ("early", "norm", "late")} | {
        "head": network.layers[-1]
    }


def _what_moved(network: Any, build: Callable[[], Any], x: Any, y: Any) -> dict[str, bool]:
    """Of each layer, does it differ from that of a new network?"""
    before = _parts(build())
    return {
        name: any(
            not np.array_equal(old, new)
            for old, new in zip(before[name].get_weights(), layer.get_weights(), strict=True)
        )
        for name, layer in _parts(network).items()
    }


# 14: which difference is real -------------------------------------------------------------


def _upper_tail(only_first: int, only_second: int) -> float:
    """Probability that a given network wins at least as many as the winner did."""
    split = (max(only_first, only_second), only_first + only_second)
    return float(stats.binomtest(*split, alternative="greater").pvalue)


def _wins_needed(disputed: int) -> int:
    """Smallest number of wins that is significant at 5 %, both directions counted."""
    return next(
        wins
        for wins in range(disputed // 2 + 1, disputed + 1)
        if stats.binomtest(wins, disputed).pvalue < 0.05
    )


def _two_sided(first: Sequence[bool], second: Sequence[bool]) -> float:
    """The exact McNemar test of outcomes in the same order."""
    pairs = list(zip(first, second, strict=True))
    wins = sum(b and not a for a, b in pairs)
    disputed = sum(a != b for a, b in pairs)
    return float(stats.binomtest(wins, disputed).pvalue) if disputed else 1.0


def _two_networks(seed: int) -> tuple[dict[str, bool], dict[str, bool]]:
    """Outcomes by file name: the second network is better, and has its files in another order."""
    random = np.random.default_rng(seed)
    names = [f"{number}.jpg" for number in range(300)]
    first = random.random(300) < 0.85
    second = np.where(first, random.random(300) < 0.97, random.random(300) < 0.4)
    order = random.permutation(300)
    return (
        dict(zip(names, first.tolist(), strict=True)),
        {names[k]: bool(second[k]) for k in order},
    )


EXERCISES: Final = {
    "09.1": Exercise(
        truth=_inception_parameters,
        cases=((192, (64, 96, 128, 16, 32, 32)), (7, (1, 2, 3, 4, 5, 6)), (3, (2, 2, 2, 2, 2, 2))),
        why="The 1 × 1 convolutions reduce the number of channels before the large windows.",
        mistakes={
            "The biases are missing: each convolution has one for every filter.": partial(
                _inception_parameters, mistake="no bias"
            ),
            "The input of a large window is the output of the 1 × 1 convolution before it, not "
            "the module's input.": partial(_inception_parameters, mistake="not reduced"),
            "Pooling has no parameters, but a 1 × 1 convolution follows it.": partial(
                _inception_parameters, mistake="nothing after pooling"
            ),
        },
    ),
    "09.2": Exercise(
        truth=_repaired,
        cases=(
            (np.array([0, 1, 2, 3]), ("owl", "bear", "pig", "fox")),
            (np.array([2, 2, 0, 1]), ("cow", "ant", "bee")),
            (np.array([1, 0, 4, 2, 3]), ("e", "a", "d", "b", "c")),
        ),
        why="Folders are numbered alphabetically, outputs in the order of the training. Save the "
        "class names with the model.",
        mistakes={
            "These are the labels as they were: the order of the folders is still the alphabet's, "
            "and that of the outputs is not.": lambda labels, names: labels,
            "That is the opposite direction: from the number of an output to the number of a "
            "folder. Here the folder is given.": lambda labels, names: np.argsort(
                np.argsort(names)
            )[labels],
            "The result has one number per class; one per image is asked "
            "for.": lambda labels, names: np.argsort(names),
            "These are names; the number of the output is asked for.": lambda labels, names: [
                sorted(names)[label] for label in labels
            ],
        },
    ),
    "09.3": Exercise(
        truth=_attention,
        cases=((224, 16, 768), (384, 16, 768), (64, 8, 32)),
        why="The dense layers grow with the number of tokens, the products with its square: twice "
        "the side of the image gives four times as many tokens and sixteen times the products.",
        mistakes={
            "The class token is a token, too.": partial(_attention_by_rule, extra=0),
            "The four dense layers are missing: they are applied to each token.": partial(
                _attention_by_rule, dense=0
            ),
            "There is a fourth dense layer: `out` follows the weighted mean of "
            "the values.": partial(_attention_by_rule, dense=3),
            "The two products are missing: queries with keys, and weights with values.": partial(
                _attention_by_rule, products=0
            ),
            "There are two products: after queries with keys, the weights are multiplied by the "
            "values.": partial(_attention_by_rule, products=1),
        },
    ),
    "13.1": Exercise(
        truth=_weights_that_train,
        cases=(
            ([("conv", True, True), ("norm", False, True), ("pool", False, True)],),
            ([("conv", False, True), ("norm", False, True)],),
            ([("conv", True, False), ("norm", False, False), ("conv", True, True)],),
            ([("norm", False, True)] * 3 + [("conv", False, False)],),
            ([],),
        ),
        why="A frozen layer counts nothing, and of a BatchNormalization's four weights only gamma "
        "and beta are learned.",
        mistakes={
            "A BatchNormalization has four weights, but gradients reach only two of them.": partial(
                _count, norm=4
            ),
            "A convolution without bias has one weight.": partial(_count, bias=False),
            "Frozen layers are counted too.": partial(_count, frozen=True),
        },
    ),
    "13.2": Exercise(
        truth=_moving("late", "head"),
        cases=((_small_network, _INPUTS, _TARGETS),),
        look=_what_moved,
        why="The second `compile` drops the training step of the first, and a BatchNormalization "
        "with trainable = False keeps its statistics.",
        mistakes={
            "Only the head has moved. The second `fit` still uses the training step that the first "
            "one built: what makes Keras build a new one?": _moving("head"),
            "`norm` has moved. It is a BatchNormalization: when does it replace the statistics of "
            "the pretraining?": _moving("norm", "late", "head"),
            "`early` has moved, and was to stay as it is. Look at its flag before the "
            "second `compile`.": _moving("early", "late", "head"),
            "Everything has moved, `early` and `norm` too. Print the table of what trains before "
            "each `fit`.": _moving("early", "norm", "late", "head"),
        },
    ),
    "13.3": Exercise(
        truth=lambda momentum, share: next(n for n in count() if 1 - momentum**n >= share),
        cases=((0.99, 0.5), (0.9, 0.9), (0.99, 0.99), (0.5, 0.9), (0.75, 0.3)),
        why="After n batches the old mean has the weight momentum to the power of n.",
        mistakes={
            "Round up: before that batch the mean has not gone "
            "far enough.": lambda momentum, share: int(log(1 - share) / log(momentum)),
            "That is when the *old* mean has `share` of the weight left. How much is left when "
            "`share` of the way is done?": lambda momentum, share: ceil(log(share) / log(momentum)),
            "The steps get smaller on the way: each goes a fixed part of what is left, not of "
            "the whole.": lambda momentum, share: ceil(share / (1 - momentum)),
        },
    ),
    "14.1": Exercise(
        truth=lambda a, b: float(stats.binomtest(a, a + b).pvalue),
        cases=((20, 8), (8, 20), (5, 5), (1, 0), (0, 12)),
        why="If both networks were equally good, each disputed image would be a coin toss.",
        mistakes={
            "Only one direction is counted. Before looking, the second network could have won "
            "as well.": _upper_tail,
            "That is the chance of exactly this split. Splits that are even more uneven count as "
            "well, in both directions.": lambda a, b: comb(a + b, a) / 2 ** (a + b),
            "The tail was doubled, and an even split then gets more than 1: a "
            "probability cannot.": lambda a, b: 2 * _upper_tail(a, b),
        },
    ),
    "14.2": Exercise(
        truth=_wins_needed,
        cases=((6,), (10,), (17,), (50,), (81,)),
        why="With few disputed images the split must be very uneven, with many a little over half "
        "is enough.",
        mistakes={
            "Most of the images is not enough: equally good networks split unevenly "
            "by chance.": lambda disputed: disputed // 2 + 1,
            "Only one direction is counted. Before looking, the other network could have won "
            "as well.": lambda disputed: next(
                wins
                for wins in range(disputed // 2 + 1, disputed + 1)
                if _upper_tail(disputed - wins, wins) < 0.05
            ),
            "One win too few: with that split p is still 0.05 or more.": lambda disputed: (
                _wins_needed(disputed) - 1
            ),
            "One win too many: p falls below 0.05 a little earlier.": lambda disputed: (
                _wins_needed(disputed) + 1
            ),
        },
    ),
    "14.3": Exercise(
        truth=lambda first, second: float(
            stats.binomtest(
                sum(right and not second[name] for name, right in first.items()),
                sum(right != second[name] for name, right in first.items()),
            ).pvalue
        ),
        cases=tuple(_two_networks(seed) for seed in (1, 2, 3)),
        why="A paired test needs pairs: the same image on both sides.",
        mistakes={
            "The outcomes are compared in the order in which they come. Do both begin with the "
            "same file?": lambda first, second: _two_sided(
                list(first.values()), list(second.values())
            ),
            "Sorting the outcomes does not sort the images: sort "
            "the names.": lambda first, second: _two_sided(
                sorted(first.values()), sorted(second.values())
            ),
            "Only one direction is counted. Before looking, either network could "
            "have won.": lambda first, second: (
                _two_sided([first[n] for n in first], [second[n] for n in first]) / 2
            ),
        },
    ),
}
