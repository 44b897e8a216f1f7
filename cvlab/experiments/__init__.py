"""Measurements behind the course: pretrain the embedded base, measure the ladder, look at drawings.

They are run by hand, seldom, and leave files that the rest of the course reads.
"""
