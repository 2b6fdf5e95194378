"""pydensecrf's two modules on this engine: `deeplab_tf.crf.pydensecrf.densecrf` and `.utils`; only the import changes.

Of pydensecrf's Eigen wrappers (`pydensecrf.eigen`) there are none: matrices are NumPy arrays.
"""


def __getattr__(name: str):
    if name == "eigen":
        raise AttributeError("pydensecrf.eigen is not carried: what inference() returns is a NumPy array already.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
