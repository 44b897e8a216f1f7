"""How good a network is and what it looks at: intervals, paired tests, feature maps, Grad-CAM.

`measure` works on counts and arrays without Keras; `explain` works on any Keras model.
"""
