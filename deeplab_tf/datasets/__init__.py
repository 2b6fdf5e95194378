"""Data sets: specs (label tables), sample lists, readers, augmentation and the tf.data pipeline.

Import the module you need; `deeplab_tf.datasets.specs` uses only the standard library.
"""
