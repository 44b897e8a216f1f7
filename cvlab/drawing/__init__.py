"""The drawn cats and dogs of the `quick` profile, and the zoo that its base was pretrained on.

Every drawing is a pure function of species, number, seed and size: the same bytes on every machine.
"""
