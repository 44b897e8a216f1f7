"""A callback that stops a training in which other weights move than `compile` was told."""

from collections import Counter
from collections.abc import Collection
from typing import Any

import keras

from cvlab.transfer.weights import Snapshot, check_built, held_weights, moved, snapshot


class Guard(keras.callbacks.Callback):
    """Stops a training in which other weights move than were set to train at `compile`.

    Make it right after `compile`, and pass it to each `fit` until the next `compile`:

        model.compile(...)
        guard = Guard(model)
        model.fit(..., callbacks=[guard])

    `fit` then raises a RuntimeError:

    - at its start, if the flags are not those of `compile`, or the model was compiled again, which
      requires a new guard;
    - after an epoch, if flags were changed meanwhile, or anything in a frozen layer moved, even by
      a single bit, the moving statistics of its BatchNormalization included;
    - at the end, if a weight that trains did not move: no gradient reached it.

    After an error at the end the model still has its trained weights. `train_on_batch` calls no
    callbacks, and so no guard: use `snapshot` and `moved` around it.

    Args:
        model: The compiled model, built, and not trained since `compile`.
        may_stay: Paths of weights that train but need not move, for example those of a layer that
            the loss does not depend on.

    Raises:
        TypeError: If `model` is not a model.
        ValueError: If the model is not built or not compiled, if no weight trains, or if
            `may_stay` names a weight that does not train.
        RuntimeError: If the model was trained since it was compiled: the flags of that moment are
            not known any more.
    """

    def __init__(self, model: keras.Model, *, may_stay: Collection[str] = ()) -> None:
        super().__init__()
        check_built(model)
        if not model.compiled:
            raise ValueError(f"{model.name} is not compiled: call compile(), then make the Guard")
        if model.train_function is not None:
            raise RuntimeError(
                f"{model.name} was trained since it was compiled, and its flags may have been "
                "different then: compile again, and make the Guard right after that"
            )
        held = held_weights(model)
        training = {one.name for one in held if one.trains}
        if not training:
            raise ValueError(
                f"no weight of {model.name} trains: set trainable=True on some layer, and compile"
            )
        if unknown := set(may_stay) - training:
            raise ValueError(
                f"may_stay names {', '.join(sorted(unknown))}, which does not train in "
                f"{model.name}; these weights do: {', '.join(sorted(training))}"
            )
        self._must_move = training - set(may_stay)
        # The state of a layer that trains, such as moving statistics, may move or not.
        self._frozen = {one.name for one in held if not one.trains and not one.layer.trainable}
        self._flags = _flags(model)
        self._loss_tracker = model.metrics[0]  # each `compile` makes a new one
        self._before: Snapshot = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Compare the flags with those of `compile`, and copy the weights; Keras calls this."""
        if self.model.metrics[0] is not self._loss_tracker:
            raise RuntimeError(
                f"this Guard was not made for the last compile() of {self.model.name}: make a new "
                "Guard for each model, right after each compile()"
            )
        self._check_flags()
        self._before = snapshot(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the flags again, and the frozen weights with the copies; Keras calls this."""
        self._check_flags()
        if wrong := self._frozen & moved(self.model, self._before).keys():
            raise RuntimeError(
                f"frozen weights of {self.model.name} moved in epoch {epoch + 1}: "
                f"{', '.join(sorted(wrong))}. The training step was built with other flags: load "
                "these weights again, set the flags, compile again, and make a new Guard"
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Check that the weights that train have moved; Keras calls this."""
        if stayed := self._must_move - moved(self.model, self._before).keys():
            raise RuntimeError(
                f"weights of {self.model.name} that train did not move: "
                f"{', '.join(sorted(stayed))}. Either no gradient reached them (a dead or "
                "unconnected layer, a learning rate of zero, no step at all), or the training step "
                "was built with other flags: compile again, or name them in may_stay if this is "
                "intended"
            )

    def _check_flags(self) -> None:
        now = _flags(self.model)
        changed = [
            f"{path} (at compile {self._flags.get(path, 'not there')}; now {now.get(path, 'gone')})"
            for path in {**self._flags, **now}
            if self._flags.get(path) != now.get(path)
        ]
        if changed:
            raise RuntimeError(
                f"flags of {self.model.name} were changed after compile: {', '.join(changed)}. "
                "What would train now is not what was compiled: set the flags back, or compile "
                "again and make a new Guard"
            )


def _flags(model: keras.Model) -> dict[str, str]:
    """Describe for each layer with weights what decides about its training."""
    held = held_weights(model)
    training = Counter(one.path for one in held if one.trains)
    # The flag counts too: it sets the mode of a BatchNormalization without gamma and beta.
    return {
        one.path: f"trainable={one.layer.trainable}, {training[one.path]} weights train"
        for one in held
    }
