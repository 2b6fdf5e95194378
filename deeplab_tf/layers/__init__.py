"""Keras layers of DeepLab: atrous convolution, folded batch norm, dropout, and Caffe's pooling, resize and input."""

from deeplab_tf.layers.atrous import AtrousConv1D, AtrousConv2D, resolve_method
from deeplab_tf.layers.conv_batch_norm import BatchNormStatistics, ConvBatchNorm
from deeplab_tf.layers.dropout import Dropout
from deeplab_tf.layers.pooling import CaffeMaxPool2D
from deeplab_tf.layers.preprocessing import SubtractMean
from deeplab_tf.layers.resize import resize_align_corners
from deeplab_tf.submodules import on_demand

__all__ = [
    "AtrousConv1D",
    "AtrousConv2D",
    "BatchNormStatistics",
    "CaffeMaxPool2D",
    "ConvBatchNorm",
    "Dropout",
    "SubtractMean",
    "resize_align_corners",
    "resolve_method",
]

__getattr__ = on_demand(__name__)
