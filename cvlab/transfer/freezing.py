"""Freezing that cannot go wrong silently: set the flags, print them, guard the training.

Keras reads a layer's `trainable` flag when it builds a training step, which is not when `compile`
is called, and says nothing when the two differ. So there are three ways to be sure here: `table`
prints what trains, `Guard` stops a training whose flags are not those of `compile`, and `moved`
tells which weights did move.

A weight is named by its path, as in `cvlab.training.gradients`, for example `block5_conv1/kernel`. Where a
model holds two weights of one path (a base and its clone), the names of the models that hold them
are put in front.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Snapshot = dict[str, NDArray[Any]]
Weight = Any  # Keras does not say which class its variables have on the backend that runs.


@dataclass(frozen=True)
class _Owner:
    """A layer that holds weights itself, not only through layers inside it."""

    path: str
    layer: keras.Layer
    weights: tuple[Weight, ...]


def freeze(base: keras.Layer) -> None:
    """Let no weight of a layer or model train; its BatchNormalization runs in inference mode.

    Call it before `compile`. It goes through to every layer inside. `base.trainable = False` does
    not always: on the TensorFlow backend an assignment of the value that the flag already has is
    skipped, so layers inside that were set one by one stay as they are.

    Args:
        base: A built layer or model, on its own or inside another model.

    Raises:
        ValueError: If `base` is not built: layers made later would train.
    """
    _check_built(base)
    for _, layer in _opened(base):
        _flag(layer, trains=False)


def unfreeze_from(base: keras.Model, layer_name: str) -> None:
    """Let a base train from one layer to the end, and nothing before it (lecture step 24).

    "Before" and "to the end" are the order of `base.layers`, models inside opened. Call it before
    `compile`. BatchNormalization stays frozen throughout, and so in inference mode: the few
    pictures of a batch would else replace the statistics of the pretraining.

    Args:
        base: A built model, on its own or inside another one, whose other layers keep their flags.
        layer_name: The first layer that trains, for example `block5_conv1`; where layers of
            several models inside `base` share the name, with those models: `left/conv`.

    Raises:
        ValueError: If `base` is not built, if it has no such layer or several, or if there is no
            weight to train from there on.
    """
    _check_built(base)
    parts = dict(_opened(base))
    models = [path for path, layer in parts.items() if isinstance(layer, keras.Model)]
    # Layers inside a layer that is no model, such as attention, train or freeze together with it.
    named = [path for path in parts if path and _parent(path) in models]
    matches = [path for path in named if layer_name in (path, path.rpartition("/")[2])]
    if len(matches) != 1:
        what = f"{len(matches)} layers called" if matches else "no layer called"
        raise ValueError(
            f"{base.name} has {what} {layer_name!r}: name one of {', '.join(matches or named)}"
        )
    order = list(parts)
    first = order.index(matches[0])
    training = {
        path
        for path in order[first:]
        if path not in models and not isinstance(parts[path], keras.layers.BatchNormalization)
    }
    if not any(parts[path].weights for path in training):
        earlier = [path for path in order[:first] if path in named and parts[path].weights]
        raise ValueError(
            f"from {layer_name} on {base.name} has no weight to train (BatchNormalization stays "
            f"frozen): name an earlier layer, one of {', '.join(earlier) or 'none'}"
        )
    # A model's own flag must be up for what is inside it to count as trainable.
    training |= {model for model in models if any(_is_inside(path, model) for path in training)}
    # Layers that hold others first: their flag is handed down to what they hold.
    for path, layer in sorted(parts.items(), key=lambda part: not _children(part[1])):
        _flag(layer, trains=path in training)


def table(model: keras.Model) -> str:
    """What trains and what does not, as text: one row for each layer with weights, and totals.

    Models inside the model are opened, and layers without weights are left out. "2 of 4 train"
    says that only some of a layer's weights do; the others of a BatchNormalization are its moving
    statistics, which move in training, but not by gradients.

    Args:
        model: A built model.

    Returns:
        Lines with a layer, its number of weights (arrays), of parameters (numbers), and its state.

    Raises:
        ValueError: If the model is not built.
    """
    _check_built(model)
    training = {id(weight) for weight in model.trainable_weights}
    rows: list[tuple[str, int, int, str]] = []
    counts = np.zeros((2, 2), dtype=int)  # all and training; weights and parameters
    for owner in _owners(model):
        sizes = [int(np.prod(weight.shape)) for weight in owner.weights]
        trained = [
            size
            for size, weight in zip(sizes, owner.weights, strict=True)
            if id(weight) in training
        ]
        if len(trained) == len(sizes):
            state = "trains"
        else:
            state = f"{len(trained)} of {len(sizes)} train" if trained else "frozen"
        if isinstance(owner.layer, keras.layers.BatchNormalization):
            uses = "statistics of the batch" if owner.layer.trainable else "inference mode"
            state = f"{state}, {uses}"
        rows.append((owner.path, len(sizes), sum(sizes), state))
        counts += [[len(sizes), sum(sizes)], [len(trained), sum(trained)]]
    totals = [("total", *counts[0], ""), ("of these train", *counts[1], "")]
    width = max(len(row[0]) for row in rows + totals)
    lines = [
        f"{path:<{width}}  {weights:>7}  {parameters:>11,}  {state}".rstrip()
        for path, weights, parameters, state in rows + totals
    ]
    lines.insert(-2, "-" * (width + 22))
    return "\n".join([f"{'layer':<{width}}  weights   parameters", *lines])


def snapshot(model: keras.Model) -> Snapshot:
    """Copies of all weights, moving statistics included, by path.

    Args:
        model: A built model.

    Returns:
        Arrays of each weight's own shape and dtype, independent of the model.
    """
    return {path: _array(weight) for path, weight in _named_weights(model).items()}


def moved(model: keras.Model, before: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """Which weights are no longer what they were, and how far they went.

    Args:
        model: The model of which `before` is a snapshot.
        before: What `snapshot` returned.

    Returns:
        By path, for the weights that differ by at least one bit only: the length of the change
        over the length of the weight (Euclidean norms), before or after, whichever is longer. So
        0.01 is a change by one percent, and a bias that started at zero has 1.

    Raises:
        ValueError: If `before` is a snapshot of another model.
    """
    now = snapshot(model)
    other = [
        path
        for path in {**before, **now}
        if path not in now or path not in before or now[path].shape != before[path].shape
    ]
    if other:
        raise ValueError(
            f"the snapshot is not one of {model.name}: they differ in {', '.join(other)}; take "
            "snapshot(model) of the same model before the training"
        )
    return {
        path: _relative_change(before[path], array)
        for path, array in now.items()
        if before[path].tobytes() != array.tobytes()
    }


class Guard(keras.callbacks.Callback):
    """Stops a training in which other weights move than were set to train at `compile`.

    Make it right after `compile`, and hand it to each `fit` until the next `compile`:

        model.compile(...)
        guard = Guard(model)
        model.fit(..., callbacks=[guard])

    `fit` then raises a RuntimeError:

    - when it starts, if the flags are not those of `compile`, or the model was compiled again,
      which calls for a new guard;
    - after an epoch, if flags were changed meanwhile, or anything in a frozen layer moved, be it
      by a single bit, the moving statistics of its BatchNormalization included;
    - at the end, if a weight that trains is what it was: no gradient reached it.

    After an error at the end the model still has its trained weights. `train_on_batch` calls no
    callbacks, and so no guard: use `snapshot` and `moved` around it.

    Args:
        model: The model that was compiled, built, and not trained since.
        may_stay: Paths of weights that train but need not move, for example those of a layer that
            the loss does not depend on.

    Raises:
        ValueError: If the model is not built or not compiled, if no weight trains, or if
            `may_stay` names a weight that does not train.
        RuntimeError: If the model was trained since it was compiled: nobody could tell any more
            with which flags.
    """

    def __init__(self, model: keras.Model, *, may_stay: Collection[str] = ()) -> None:
        super().__init__()
        _check_built(model)
        if not model.compiled:
            raise ValueError(f"{model.name} is not compiled: call compile(), then make the Guard")
        if model.train_function is not None:
            raise RuntimeError(
                f"{model.name} was trained since it was compiled, so its flags may have been "
                "others then: compile again, and make the Guard right after that"
            )
        self._guarded = model
        self._compilation = _compilation(model)
        self._flags = _flags(model)
        self._training, self._frozen = _training_and_frozen(model)
        self._may_stay = frozenset(may_stay)
        self._before: Snapshot = {}
        if not self._training:
            raise ValueError(
                f"no weight of {model.name} trains: set trainable=True on some layer, and compile"
            )
        if unknown := self._may_stay - self._training:
            raise ValueError(
                f"may_stay names {', '.join(sorted(unknown))}, which does not train in "
                f"{model.name}; these weights do: {', '.join(sorted(self._training))}"
            )

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Compare the flags with those of `compile`, and copy the weights; Keras calls this."""
        if self.model is not self._guarded:
            raise RuntimeError(
                f"this Guard belongs to {self._guarded.name}, not to {self.model.name}: make one "
                "for each model, right after compile()"
            )
        if _compilation(self._guarded) is not self._compilation:
            raise RuntimeError(
                f"{self._guarded.name} was compiled again after this Guard was made: make a new "
                "Guard after each compile()"
            )
        self._check_flags()
        self._before = snapshot(self._guarded)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the flags again, and the frozen weights with the copies; Keras calls this."""
        self._check_flags()
        if astray := self._frozen & moved(self._guarded, self._before).keys():
            raise RuntimeError(
                f"frozen weights of {self._guarded.name} moved in epoch {epoch + 1}: "
                f"{', '.join(sorted(astray))}. The training step was built with other flags: load "
                "these weights again, set the flags, compile again, and make a new Guard"
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Make sure that what trains has moved; Keras calls this."""
        stayed = self._training - self._may_stay - moved(self._guarded, self._before).keys()
        if stayed:
            raise RuntimeError(
                f"weights of {self._guarded.name} that train did not move: "
                f"{', '.join(sorted(stayed))}. Either no gradient reached them (a dead or "
                "unconnected layer, a learning rate of zero, no step at all), or the training step "
                "was built with other flags: compile again, or name them in may_stay if that is "
                "meant"
            )

    def _check_flags(self) -> None:
        now = _flags(self._guarded)
        changed = [
            f"{path} (at compile {self._flags.get(path, 'not there')}; now {now.get(path, 'gone')})"
            for path in {**self._flags, **now}
            if self._flags.get(path) != now.get(path)
        ]
        if changed:
            raise RuntimeError(
                f"flags of {self._guarded.name} were changed after compile: {', '.join(changed)}. "
                "What would train now is not what was compiled: set the flags back, or compile "
                "again and make a new Guard"
            )


def _check_built(layer: keras.Layer) -> None:
    if not isinstance(layer, keras.Layer):
        raise TypeError(f"{layer!r} is no layer or model: pass the base itself, not its name")
    if not layer.built:
        raise ValueError(
            f"{layer.name} is not built, so its weights do not exist yet: give the model a "
            "keras.Input, or call it once"
        )


def _children(layer: keras.Layer) -> list[keras.Layer]:
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    # Keras shows the layers inside a layer that is no model only under this name.
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _opened(layer: keras.Layer) -> Iterator[tuple[str, keras.Layer]]:
    """A layer under the path "", and after it all layers inside, in order, each once."""
    seen: set[keras.Layer] = set()

    def visit(layer: keras.Layer, path: str) -> Iterator[tuple[str, keras.Layer]]:
        if layer not in seen:
            seen.add(layer)
            yield path, layer
            times: Counter[str] = Counter()
            for child in _children(layer):
                times[child.name] += 1
                name = child.name if times[child.name] == 1 else f"{child.name}#{times[child.name]}"
                yield from visit(child, f"{path}/{name}".lstrip("/"))

    return visit(layer, "")


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _is_inside(path: str, model: str) -> bool:
    return not model or path.startswith(f"{model}/")


def _flag(layer: keras.Layer, *, trains: bool) -> None:
    # On the TensorFlow backend an assignment of the value that is there already is skipped before
    # it reaches the layer's weights.
    layer.trainable = not trains
    layer.trainable = trains


def _owners(model: keras.Model) -> list[_Owner]:
    owners, seen = [], set()
    for path, layer in _opened(model):
        inside = {id(weight) for child in _children(layer) for weight in child.weights}
        own = tuple(
            weight
            for weight in layer.weights
            if id(weight) not in inside and id(weight) not in seen
        )
        seen |= {id(weight) for weight in own}
        if own:
            owners.append(_Owner(path or layer.name, layer, own))
    return owners


def _named_weights(model: keras.Model) -> dict[str, Weight]:
    held = [(owner.path, weight) for owner in _owners(model) for weight in owner.weights]
    times = Counter(weight.path for _, weight in held)
    return {
        weight.path if times[weight.path] == 1 else f"{path}/{weight.name}": weight
        for path, weight in held
    }


def _training_and_frozen(model: keras.Model) -> tuple[set[str], set[str]]:
    """Weights that must move, and weights that must not; the rest are state of what trains."""
    training = {id(weight) for weight in model.trainable_weights}
    resting = {
        id(w) for owner in _owners(model) if not owner.layer.trainable for w in owner.weights
    }
    named = _named_weights(model)
    return (
        {path for path, weight in named.items() if id(weight) in training},
        {path for path, weight in named.items() if id(weight) in resting - training},
    )


def _flags(model: keras.Model) -> dict[str, str]:
    """What decides about each layer with weights, in words that the error message can show."""
    training = {id(weight) for weight in model.trainable_weights}
    flags = {}
    for owner in _owners(model):
        count = sum(id(weight) in training for weight in owner.weights)
        # The flag counts too: it sets the mode of a BatchNormalization without gamma and beta.
        flags[owner.path] = f"trainable={owner.layer.trainable}, {count} weights train"
    return flags


def _compilation(model: keras.Model) -> object:
    """Something that each `compile` makes anew: the tracker of the loss."""
    return model.metrics[0]


def _array(weight: Weight) -> NDArray[Any]:
    return np.array(ops.convert_to_numpy(weight))


def _relative_change(before: NDArray[Any], after: NDArray[Any]) -> float:
    old, new = before.astype(np.float64), after.astype(np.float64)
    length = max(np.linalg.norm(old), np.linalg.norm(new))
    return float(np.linalg.norm(new - old) / length) if length else 0.0
