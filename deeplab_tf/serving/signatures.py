"""What a SavedModel answers: uint8 pictures or encoded ones of any size in, label maps out."""

from __future__ import annotations

import tensorflow as tf

from deeplab_tf.datasets.pictures import decode_image
from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.serving.tiled import TiledPredictor


class SegmentationModule(tf.Module):
    """The signatures of a SavedModel, over the same graph that `segment` runs.

    Args:
      predictor: the network with its scales and flip, perhaps in tiles.
    """

    def __init__(self, predictor: Predictor | TiledPredictor):
        super().__init__(name="deeplab_tf")
        self._predictor = predictor
        # Keras keeps its variables in wrappers that TensorFlow's object tracking does not see through everywhere.
        self._variables = [variable.value for variable in predictor.network.variables]
        self._label_type = tf.uint8 if predictor.num_classes <= 256 else tf.int32

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve(self, images):
        """uint8 RGB [batch, height, width, 3] -> labels [batch, height, width] and probabilities [..., K]."""
        probabilities = self._predictor.probabilities(images)
        return {"labels": self._labels(probabilities), "probabilities": probabilities}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve_labels(self, images):
        """uint8 RGB [batch, height, width, 3] -> labels [batch, height, width] alone."""
        return {"labels": self._labels(self._predictor.scores(images))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="encoded_images")])
    def serve_encoded(self, encoded_images):
        """[batch] JPEG or PNG files, of any and different sizes -> [batch] grey PNG files whose levels are class ids.

        By the ending of its name TensorFlow Serving knows that the answer goes into JSON in base 64 (its api_rest.md); as text
        it would be no JSON at all.
        """
        return {"label_png_bytes": tf.map_fn(self._label_png, encoded_images)}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve_logits(self, images):
        """uint8 RGB [batch, height, width, 3] -> logits [batch, rows, columns, K] of the padded pictures.

        Row i, column j is the pixel (s * i, s * j) with s the output stride, divided by the scale where there is a single
        one (`output_stride` in assets.extra/deeplab_tf.json). Not flipped, not up-sampled.
        """
        return {"logits": self._predictor.logits(images)}

    def _label_png(self, data):
        labels = self._labels(self._predictor.scores(decode_image(data)[None]))[0]
        return tf.io.encode_png(tf.cast(labels[..., None], tf.uint8 if self._label_type == tf.uint8 else tf.uint16))

    def _labels(self, scores):
        return tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32), self._label_type)

    def signatures(self) -> dict:
        """Name -> function, as `tf.saved_model.save` takes them."""
        return {
            "serving_default": self.serve, "labels": self.serve_labels, "encoded": self.serve_encoded,
            "logits": self.serve_logits,
        }  # fmt: skip


def save_plain(predictor: Predictor, folder: str) -> None:
    """Writes a SavedModel with "serving_default" alone, for converters to read."""
    module = SegmentationModule(predictor)
    tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})
