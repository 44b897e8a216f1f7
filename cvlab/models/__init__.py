"""The course's networks, one door to pretrained bases, and what a network costs.

Every network takes images with values from 0 to 255 and holds its own preprocessing.
"""
