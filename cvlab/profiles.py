"""The three ways to run the course, and every number a notebook takes from them.

A notebook has one parameter, the name of a profile; everything else it needs (picture size,
epochs, seeds, the pretrained base) it reads from the `Profile` of that name. The same cells thus
run in minutes on two cores (`quick`), on real photos without a GPU (`laptop`) and with the
lecture's own settings (`lecture`).
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Every number that differs between a quick look and the lecture's own experiment.

    A number that a profile does not name is the lecture's.

    Attributes:
        name: `quick`, `laptop` or `lecture`.
        source: What `cvlab.data.load_pets` reads: `toypets` (drawn) or `photos` (real).
        image_size: Height and width of the pictures in pixels.
        train_per_class: Training pictures of each class; 1,000 in the lecture.
        validation_per_class: Validation pictures of each class; 500 in the lecture.
        test_per_class: Test pictures of each class; 500 in the lecture.
        batch_size: Pictures a training step; 20 in the lecture.
        learning_rate: RMSprop's step size for networks trained from scratch; 1e-4 in the lecture.
        baseline_epochs: Epochs of the network without regularization (notebook 05); 30 in the
            lecture.
        baseline_seed: Random initialisation of that network, and the order of its pictures.
        mixed_precision: Whether the small convnets of notebooks 05 to 07 compute in bfloat16 where
            the processor can, at nearly twice the speed. Their weights stay float32.
        warm_start: Whether the networks trained with augmentation (notebooks 06 and 07) have first
            seen the pictures as they are, which saves the epochs in which they would not get beyond
            guessing; not in the lecture.
        augmented_epochs: Epochs with augmentation (notebook 06); 130 in the lecture.
        dropout_epochs: Epochs with augmentation and dropout (notebook 07); 100 in the lecture.
        curve_pictures: Numbers of real training pictures that notebook 06 compares, the largest of
            them all there are.
        lenet_epochs: Epochs of LeNet-5 on the digits (notebook 01).
        lenet_seeds: Random initialisations of LeNet-5, at least one.
        normalization_seeds: Random initialisations of each network that notebooks 02 and 03
            compare, at least three.
        freezing_seeds: Random initialisations of the head, and orders of the pictures, with which
            notebook 12 measures what BatchNorm in training mode costs, at least two.
        base: The pretrained base that `cvlab.models.zoo.base_for` opens, as `cvlab.models.zoo.load_base` takes
            it: a family, with its options in parentheses. VGG16 in the lecture.
        base_image_size: Height and width in pixels of the pictures that the base takes; 150 in
            the lecture.
        base_sizes: Heights and widths in pixels that notebook 09 compares.
        transfer_seeds: Random initialisations of each head that notebooks 09 to 11 compare, at
            least two.
        transfer_batch_size: Pictures a training step on features; 20 in the lecture.
        head_epochs: Epochs of a head on the features of the pictures as they are; 30 in the
            lecture.
        head_learning_rate: RMSprop's step size for the lecture's head; 2e-5 in the lecture.
        pooled_learning_rate: RMSprop's step size for the head with global pooling.
        whole_epochs: Epochs of augmentation, base and head in one network (notebook 10); 5 in the
            lecture.
        views: Augmented views of each training picture that are kept as features.
        frozen_epochs: Epochs of a head on those views.
        tuning_epochs: Epochs of the head and the base's last block together (notebook 11); 100 in
            the lecture.
        tuning_learning_rate: Step size then, RMSprop's; 1e-5 in the lecture.
        tuning_schedule: Whether that is the largest step of AdamW instead, with a step size that
            rises and falls; see `cvlab.transfer.heads.small_steps`.
    """

    name: str
    source: str
    image_size: int = 150
    train_per_class: int = 1000
    validation_per_class: int = 500
    test_per_class: int = 500
    batch_size: int = 20
    learning_rate: float = 1e-4
    baseline_epochs: int
    baseline_seed: int = 0
    mixed_precision: bool = False
    warm_start: bool = False
    augmented_epochs: int = 130
    dropout_epochs: int = 100
    curve_pictures: tuple[int, ...] = (250, 500, 1000, 2000)
    lenet_epochs: int
    lenet_seeds: tuple[int, ...]
    normalization_seeds: tuple[int, ...]
    freezing_seeds: tuple[int, ...]
    base: str = "VGG16"
    base_image_size: int = 150
    base_sizes: tuple[int, ...]
    transfer_seeds: tuple[int, ...]
    transfer_batch_size: int = 20
    head_epochs: int = 30
    head_learning_rate: float = 2e-5
    pooled_learning_rate: float = 1e-3
    whole_epochs: int = 5
    views: int
    frozen_epochs: int
    tuning_epochs: int = 100
    tuning_learning_rate: float = 1e-5
    tuning_schedule: bool = False

    @property
    def chosen_base(self) -> str:
        """The base that runs: `base`, or the one that `CVLAB_BASE` (`make ... BASE=`) names.

        The embedded base of `quick` stays, whatever the environment says.
        """
        return self.base if self.base == "toy" else os.environ.get("CVLAB_BASE") or self.base

    @property
    def per_class(self) -> dict[str, int]:
        """Pictures of each class by split, as `cvlab.data.load_images` takes them."""
        return {
            "train": self.train_per_class,
            "validation": self.validation_per_class,
            "test": self.test_per_class,
        }


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="quick",
            source="toypets",
            image_size=64,
            # At 64 pixels the network has a seventh of the weights; a larger step shows in a few
            # epochs what takes the lecture's thirty.
            learning_rate=1e-3,
            baseline_epochs=12,
            warm_start=True,
            augmented_epochs=5,
            dropout_epochs=8,
            curve_pictures=(100, 2000),
            lenet_epochs=10,
            lenet_seeds=(0, 1),
            normalization_seeds=(0, 1, 2),
            freezing_seeds=(0, 1, 2),
            base="toy",
            base_image_size=64,
            base_sizes=(48, 64, 80),
            transfer_seeds=(0, 1, 2),
            transfer_batch_size=50,
            head_epochs=20,
            head_learning_rate=3e-4,
            pooled_learning_rate=3e-3,
            whole_epochs=2,
            views=8,
            frozen_epochs=20,
            tuning_epochs=10,
            tuning_learning_rate=2e-4,
        ),
        Profile(
            name="laptop",
            source="photos",
            # Three times the lecture's step: what takes thirty epochs there shows in thirteen.
            learning_rate=3e-4,
            baseline_epochs=13,
            mixed_precision=True,
            warm_start=True,
            augmented_epochs=12,
            dropout_epochs=12,
            curve_pictures=(500, 2000),
            lenet_epochs=15,
            lenet_seeds=(0, 1, 2),
            normalization_seeds=(0, 1, 2, 3, 4),
            freezing_seeds=(0, 1, 2, 3, 4),
            # Small enough for two cores, and best a little above the size it was trained at: chosen
            # by validation photos among 224, 256 and 288.
            base="MobileNet(alpha=0.75)",
            base_image_size=256,
            base_sizes=(150, 224, 256),
            transfer_seeds=(0, 1, 2),
            head_epochs=8,
            whole_epochs=1,
            views=4,
            frozen_epochs=30,
            # With constant steps the lecture's rate is the best, and gains little. Steps that end
            # small may begin large: a quarter less validation loss in as many epochs.
            tuning_epochs=7,
            tuning_learning_rate=3e-4,
            tuning_schedule=True,
        ),
        Profile(
            name="lecture",
            source="photos",
            baseline_epochs=30,
            lenet_epochs=20,
            lenet_seeds=(0, 1, 2, 3, 4),
            normalization_seeds=tuple(range(10)),
            freezing_seeds=tuple(range(10)),
            base_sizes=(100, 150, 224),
            transfer_seeds=(0, 1, 2, 3, 4),
            views=8,
            frozen_epochs=30,
        ),
    )
}


def get(name: str) -> Profile:
    """Return the profile called `name`.

    Raises:
        ValueError: If there is no such profile; the message lists those there are.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(
            f"There is no profile {name!r}. Set PROFILE, in the notebook's parameters cell or in "
            f"`make lectures PROFILE=...`, to one of: {', '.join(PROFILES)}."
        ) from None
