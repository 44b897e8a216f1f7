"""Helpers for the lecture "Vision Models: Fine Tuning & Transfer Learning".

The notebooks in `lectures/` keep the Keras calls that teach; this package takes the chores.
Importing it is cheap: no module here imports Keras before something that needs Keras is used.
"""

import os

# TensorFlow's C++ start-up messages (oneDNN, CPU features, missing CUDA drivers) would end up in
# every executed notebook. They must be silenced before TensorFlow is imported, hence here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# oneDNN's convolutions, which TensorFlow takes by itself only where the processor has AVX-512. The
# Makefile says the same for notebooks that import Keras first.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# NVIDIA's GPUs since Ampere use only 10 of the 23 bits of float32 in products (TF32): too few for
# the notebooks' comparisons with NumPy. Where speed counts, the profiles use bfloat16.
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "float32")

__version__ = "0.1.0"
