"""Masks and activation maps refined by the dense CRF, file by file: what `python -m deeplab_tf.refine` calls.

Needs numpy, Pillow and tqdm; nothing here loads TensorFlow.
"""
