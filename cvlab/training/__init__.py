"""What training a small network needs: augmentation, normalization, gradients, progress.

Here, too, is the baseline of the first training notebook, from which later notebooks go on.
"""
