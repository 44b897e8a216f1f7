"""Profiles: the lecture's own numbers, and a kind answer to a wrong name."""

import subprocess
import sys

import pytest

from cvlab import profiles


def test_lecture_profile_has_the_lectures_numbers() -> None:
    lecture = profiles.get("lecture")
    assert lecture.per_class == {"train": 1000, "validation": 500, "test": 500}
    assert (lecture.image_size, lecture.batch_size) == (150, 20)
    assert (lecture.learning_rate, lecture.baseline_epochs) == (1e-4, 30)
    assert (lecture.augmented_epochs, lecture.dropout_epochs) == (130, 100)
    assert (lecture.base, lecture.base_image_size) == ("VGG16", 150)
    assert (lecture.transfer_batch_size, lecture.whole_epochs) == (20, 5)
    assert (lecture.head_epochs, lecture.head_learning_rate) == (30, 2e-5)
    assert (lecture.tuning_epochs, lecture.tuning_learning_rate) == (100, 1e-5)


def test_every_profile_uses_the_lectures_subset() -> None:
    for profile in profiles.PROFILES.values():
        assert profile.per_class == profiles.get("lecture").per_class


def test_only_quick_needs_no_photos() -> None:
    sources = {profile.name: profile.source for profile in profiles.PROFILES.values()}
    assert sources == {"quick": "toypets", "laptop": "photos", "lecture": "photos"}


def test_another_base_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CVLAB_BASE", raising=False)
    assert profiles.get("lecture").chosen_base == "VGG16"
    monkeypatch.setenv("CVLAB_BASE", "MobileNet(alpha=0.5)")
    assert profiles.get("lecture").chosen_base == "MobileNet(alpha=0.5)"
    assert profiles.get("quick").chosen_base == "toy"


def test_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="quick, laptop, lecture"):
        profiles.get("fast")


def test_importing_cvlab_imports_no_deep_learning_library() -> None:
    code = (
        "import sys, cvlab.profiles, cvlab.evaluation.measure, cvlab.plots, cvlab.data.loading\n"
        "print([name for name in ('keras', 'tensorflow', 'jax', 'torch') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
