"""One progress bar for a whole training, instead of one line per epoch as Keras prints it."""

import sys
from typing import Any

import keras
from tqdm import tqdm


class ProgressBar(keras.callbacks.Callback):
    """Shows one bar over the epochs of `fit` with the latest validation accuracy.

    Pass it with `verbose=0`: `model.fit(..., verbose=0, callbacks=[ProgressBar("baseline")])`.

    Args:
        description: Text in front of the bar.
        metric: Key of the logs to show after the bar, if the logs have it.
    """

    def __init__(self, description: str = "training", metric: str = "val_accuracy") -> None:
        super().__init__()
        self.description = description
        self.metric = metric

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the bar; Keras calls this."""
        # To stdout, because notebooks show stderr on a red background, like an error.
        self.bar = tqdm(
            total=self.params["epochs"],
            desc=self.description,
            unit="epoch",
            file=sys.stdout,
            ascii=" ─━",
            ncols=88,
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Advance the bar by one epoch; Keras calls this."""
        if logs and self.metric in logs:
            self.bar.set_postfix({self.metric: f"{logs[self.metric]:.3f}"}, refresh=False)
        self.bar.update()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the bar; Keras calls this."""
        self.bar.close()
