"""TensorFlow Datasets builders: the sharded record format for large or remote training data.

`builders` writes shards (ArrayRecord) from the folders that the readers know; `records` reads them for training.
"""
