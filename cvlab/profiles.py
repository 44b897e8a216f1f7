"""The three ways to run the course, and every number that a notebook takes from them.

A notebook has one parameter, the name of a profile; everything else it needs (image size, epochs,
seeds, the pretrained base) it reads from the `Profile` of that name. So the same cells run in
minutes on two cores (`quick`), on real photos without a GPU (`laptop`) and with the lecture's own
settings (`lecture`).
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Every number that differs between a quick look and the lecture's own experiment.

    A number that a profile does not name is the lecture's.

    Attributes:
        name: `quick`, `laptop` or `lecture`.
        source: What `cvlab.data.load_pets` reads: `toypets` (drawings) or `photos`.
        image_size: Height and width of the images in pixels.
        train_per_class: Training images per class; 1,000 in the lecture.
        validation_per_class: Validation images per class; 500 in the lecture.
        test_per_class: Test images per class; 500 in the lecture.
        batch_size: Images per training step; 20 in the lecture.
        learning_rate: Of RMSprop, for networks trained from scratch; 1e-4 in the lecture.
        baseline_epochs: Epochs of the network without regularization (notebook 06); 30 in the
            lecture.
        baseline_seed: Seed of that network's initialization and of the order of its images.
        mixed_precision: Whether the small convnets of notebooks 06 to 08 compute in bfloat16 where
            the processor supports it, at nearly twice the speed. Their weights stay float32.
        warm_start: Whether the networks trained with augmentation (notebooks 07 and 08) are first
            trained on the original images, which saves the epochs at chance level; not in the
            lecture.
        augmented_epochs: Epochs with augmentation (notebook 07); 130 in the lecture.
        dropout_epochs: Epochs with augmentation and dropout (notebook 08); 100 in the lecture.
        curve_images: Numbers of real training images that notebook 07 compares, in increasing
            order; the largest is the whole training set.
        lenet_epochs: Epochs of LeNet-5 on the digits (notebook 02).
        lenet_seeds: Seeds of LeNet-5, at least one.
        normalization_seeds: Seeds of each network that notebooks 03 and 04 compare, at least three.
        freezing_seeds: Seeds of the head and of the order of the images with which notebook 13
            measures what BatchNorm in training mode costs, at least two.
        base: The pretrained base, as `cvlab.models.load_base` takes it: a family, with its
            options in parentheses. VGG16 in the lecture.
        base_image_size: Height and width in pixels of the images that the base takes; 150 in the
            lecture.
        base_sizes: Heights and widths in pixels that notebook 10 compares.
        transfer_seeds: Seeds of each head that notebooks 10 to 12 compare, at least two.
        transfer_batch_size: Images per training step on features; 20 in the lecture.
        head_epochs: Epochs of a head on the features of the original images; 30 in the lecture.
        head_learning_rate: Of RMSprop, for the lecture's head; 2e-5 in the lecture.
        pooled_learning_rate: Of RMSprop, for the head with global pooling.
        whole_epochs: Epochs of augmentation, base and head in one network (notebook 11); 5 in the
            lecture.
        views: Augmented views per training image that are kept as features.
        frozen_epochs: Epochs of a head on those views.
        tuning_epochs: Epochs of the head and the base's last block together (notebook 12); 100 in
            the lecture.
        tuning_learning_rate: Of RMSprop in that training; 1e-5 in the lecture.
        tuning_schedule: Whether it is the highest learning rate of AdamW instead, with warm-up and
            cosine decay; see `cvlab.transfer.fine_tuning_optimizer`.
        ways_image_size: Height and width in pixels in notebook 15 (ways to fine-tune).
        ways_per_class: Training images per class of that comparison.
        ways_epochs: Epochs of each way, at least 3.
        ways_rates: Learning rates of each way, in increasing order, at least three.
        ways_seeds: Seeds of each way, at least two.
        counts_per_class: Training images per class for which notebook 15 compares training from
            scratch, a probe and fine-tuning, in increasing order.
        corrupted_images: Test images that notebook 16 corrupts, the first ones.
    """

    name: str
    source: str = "photos"
    image_size: int = 150
    train_per_class: int = 1000
    validation_per_class: int = 500
    test_per_class: int = 500
    batch_size: int = 20
    learning_rate: float = 1e-4
    baseline_epochs: int = 30
    baseline_seed: int = 0
    mixed_precision: bool = False
    warm_start: bool = False
    augmented_epochs: int = 130
    dropout_epochs: int = 100
    curve_images: tuple[int, ...] = (250, 500, 1000, 2000)
    lenet_epochs: int = 20
    lenet_seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    normalization_seeds: tuple[int, ...] = tuple(range(10))
    freezing_seeds: tuple[int, ...] = tuple(range(10))
    base: str = "VGG16"
    base_image_size: int = 150
    base_sizes: tuple[int, ...] = (100, 150, 224)
    transfer_seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    transfer_batch_size: int = 20
    head_epochs: int = 30
    head_learning_rate: float = 2e-5
    pooled_learning_rate: float = 1e-3
    whole_epochs: int = 5
    views: int = 8
    frozen_epochs: int = 30
    tuning_epochs: int = 100
    tuning_learning_rate: float = 1e-5
    tuning_schedule: bool = False
    ways_image_size: int = 150
    ways_per_class: int = 100
    ways_epochs: int = 6
    ways_rates: tuple[float, ...] = (1e-5, 1e-4, 1e-3)
    ways_seeds: tuple[int, ...] = (0, 1)
    counts_per_class: tuple[int, ...] = (10, 30, 100, 300, 1000)
    corrupted_images: int = 1000

    @property
    def chosen_base(self) -> str:
        """The base that runs: `base`, or the one that `CVLAB_BASE` (`make ... BASE=`) names.

        `quick` always uses its embedded base.
        """
        return self.base if self.base == "toy" else os.environ.get("CVLAB_BASE") or self.base

    @property
    def per_class(self) -> dict[str, int]:
        """Images per class by split."""
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
            # At 64 pixels the network has a seventh of the weights; a higher learning rate shows in
            # a few epochs what takes thirty in the lecture.
            learning_rate=7e-4,
            baseline_epochs=13,
            mixed_precision=True,
            warm_start=True,
            augmented_epochs=7,
            dropout_epochs=7,
            curve_images=(100, 2000),
            lenet_epochs=8,
            lenet_seeds=(0, 1),
            normalization_seeds=(0, 1, 2),
            freezing_seeds=(0, 1, 2),
            base="toy",
            base_image_size=64,
            base_sizes=(48, 64, 80),
            transfer_seeds=(0, 1, 2),
            transfer_batch_size=100,
            head_epochs=12,
            head_learning_rate=3e-4,
            pooled_learning_rate=5e-3,
            whole_epochs=2,
            views=4,
            frozen_epochs=12,
            tuning_epochs=10,
            tuning_learning_rate=2e-4,
            ways_image_size=64,
            ways_per_class=30,
            ways_rates=(1e-4, 1e-3, 1e-2),
            counts_per_class=(10, 100, 300),
            corrupted_images=500,
        ),
        Profile(
            name="laptop",
            # Three times the lecture's learning rate: thirteen epochs in place of thirty.
            learning_rate=3e-4,
            baseline_epochs=13,
            mixed_precision=True,
            warm_start=True,
            augmented_epochs=12,
            dropout_epochs=12,
            curve_images=(200, 2000),
            lenet_epochs=15,
            lenet_seeds=(0, 1, 2),
            normalization_seeds=(0, 1, 2, 3, 4),
            freezing_seeds=(0, 1, 2, 3, 4),
            # Small enough for two cores, at the size it was trained at. At 256 it has a point more
            # of validation accuracy (notebook 10), and takes a third more time and memory.
            base="MobileNet(alpha=0.75)",
            base_image_size=224,
            base_sizes=(150, 224, 256),
            transfer_seeds=(0, 1, 2),
            transfer_batch_size=50,
            head_epochs=5,
            head_learning_rate=5e-5,
            pooled_learning_rate=2e-3,
            whole_epochs=1,
            views=4,
            frozen_epochs=15,
            # With a constant learning rate the lecture's is the best, and gains little. One that
            # decays can start higher: a quarter less validation loss in as many epochs.
            tuning_epochs=7,
            tuning_learning_rate=5e-4,
            tuning_schedule=True,
            ways_image_size=96,
            ways_per_class=50,
            ways_rates=(1e-4, 1e-3, 1e-2),
            counts_per_class=(10, 100, 300),
            corrupted_images=200,
        ),
        Profile(name="lecture", mixed_precision=True, curve_images=(500, 2000)),
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
