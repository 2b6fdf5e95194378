"""Numbers of the published nets that several rooms share. Standard library only."""

MEAN_RGB = (122.675, 116.669, 104.008)
"""What is subtracted from a picture of levels 0..255 (the release's BGR mean 104.008, 116.669, 122.675)."""

BATCH_NORM_EPSILON = 1e-5
"""Added to the variances of the published ResNet-101 (Caffe's default)."""
