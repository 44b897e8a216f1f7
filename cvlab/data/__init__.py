"""Cats and dogs: found, checked, split and decoded once, from wherever they come.

The steps are public in the order in which `load_pets` takes them: `locate`, `find_images`,
`make_subset`, `decode`. Nothing here imports Keras.
"""

from cvlab.data.listing import CLASS_NAMES, find_images
from cvlab.data.loading import Pets, Split, decode, load_images, load_pets
from cvlab.data.locating import locate
from cvlab.data.other import load_other
from cvlab.data.photo_features import FeatureSplit, PhotoFeatures, load_photo_features
from cvlab.data.splitting import make_subset

__all__ = [
    "CLASS_NAMES",
    "FeatureSplit",
    "Pets",
    "PhotoFeatures",
    "Split",
    "decode",
    "find_images",
    "load_images",
    "load_other",
    "load_pets",
    "load_photo_features",
    "locate",
    "make_subset",
]
