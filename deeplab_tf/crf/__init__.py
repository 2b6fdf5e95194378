"""Fully connected CRF of the paper's section 3.3: parameters, engines, cached scores, search, worker pool.

Import the modules below by name (`deeplab_tf.crf.dense_crf`, ...); this file imports nothing so that
`deeplab_tf.crf.params` needs the standard library only.
"""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__)
