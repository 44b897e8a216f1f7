"""Training on stored views: each epoch shows every image once, in a view chosen at random."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray


class Views(keras.utils.PyDataset):
    """Every image once per epoch, in a new order, each time in one of its views at random.

    For `fit(x=Views(...))`: training on a few stored views in place of a new augmentation in every
    epoch. The views are read from disk batch by batch.

    Args:
        views: Arrays (N, ...) of the same shape and dtype, such as the features from
            `cvlab.transfer.features.extract_views`; those of the original images may be among
            them.
        labels: Class of each image, shape (N,).
        batch_size: Images per step; the last step of an epoch may have fewer.
        seed: Of the orders and the choices.

    Raises:
        ValueError: If there are no views, they do not belong to the same images, or `batch_size`
            is not positive.
    """

    def __init__(
        self, views: Sequence[NDArray[Any]], labels: ArrayLike, *, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.views = list(views)
        self.labels = np.asarray(labels)
        shapes = sorted({view.shape for view in self.views})
        if len(shapes) != 1 or shapes[0][0] != len(self.labels):
            raise ValueError(
                f"views of shape {', '.join(map(str, shapes)) or 'none'} for {len(self.labels)} "
                "labels: pass at least one view, all of the same images in the same order"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: pass at least 1 image per step")
        self.batch_size = batch_size
        self._random = np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Sample the order of the next epoch and the view of each image; Keras calls this."""
        self._order = self._random.permutation(len(self.labels))
        self._chosen = self._random.integers(len(self.views), size=len(self.labels))

    def __len__(self) -> int:
        """Return the number of steps per epoch."""
        return math.ceil(len(self.labels) / self.batch_size)

    def __getitem__(self, step: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return features and labels of one step."""
        part = slice(step * self.batch_size, (step + 1) * self.batch_size)
        rows, chosen = self._order[part], self._chosen[part]
        batch = np.empty((len(rows), *self.views[0].shape[1:]), self.views[0].dtype)
        for view in np.unique(chosen):
            batch[chosen == view] = self.views[view][rows[chosen == view]]
        return batch, self.labels[rows]
