"""Reusing a pretrained base: stored features, heads, the freeze boundary, freezing, fine-tuning.

What is frozen runs once per image and is kept on disk; only what trains runs in every epoch.
"""

from cvlab.transfer.heads import Views, dense_head, last_block, pooled_head, small_steps, split

__all__ = ["Views", "dense_head", "last_block", "pooled_head", "small_steps", "split"]
