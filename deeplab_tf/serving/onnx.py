"""ONNX: the graph is written op by op from the plain network, so that nothing is left for a converter to misread.

A converter takes the deinterleaved maps of `space_to_batch` with open sizes for something else and gives wrong numbers without
a word; here a convolution has its dilation as an attribute. Runs in onnxruntime, OpenVINO, TensorRT, browsers.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from deeplab_tf.errors import UserError
from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.inference.runtimes import ABOUT_KEY
from deeplab_tf.layers.pooling import CaffeMaxPool2D
from deeplab_tf.layers.preprocessing import SubtractMean
from deeplab_tf.models.multi_scale import scale_factor
from deeplab_tf.published import MEAN_RGB
from deeplab_tf.serving.plain_network import PlainConv2D, PlainMaxPool2D

OPSET = 18
_IR_VERSION = 9  # of the file: onnxruntime 1.15 and newer read both


def write(predictor: Predictor, path: pathlib.Path, about: str, precision: str, calibration: Sequence[np.ndarray]) -> None:
    """Writes `images` uint8 [batch, height, width, 3] -> `labels`, `probabilities`, as the SavedModel answers, to a file.

    Args:
      predictor: of a plain network.
      path: the file.
      about: JSON for the file's metadata.
      precision: "float32" or "int8".
      calibration: uint8 pictures to take the ranges of int8 from.

    Raises:
      UserError: the network has a layer that is not the zoo's.
    """
    model = graph_of(predictor)
    if precision == "int8":
        from deeplab_tf.serving.onnx_int8 import quantized

        model = quantized(model, calibration)
    helper.set_model_props(model, {ABOUT_KEY: about})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def graph_of(predictor: Predictor) -> onnx.ModelProto:
    """The Predictor's probabilities and labels, step by step as `inference.predictor` takes them."""
    steps = _Steps()
    pictures = steps.op("Transpose", steps.op("Cast", "images", to=TensorProto.FLOAT), perm=(0, 3, 1, 2))
    pictures = steps.op("Sub", pictures, steps.constant(np.float32(MEAN_RGB).reshape(1, 3, 1, 1)))
    probabilities = _probabilities(steps, predictor, pictures)
    if predictor.flip:
        mirrored = _mirror(steps, _probabilities(steps, predictor, _mirror(steps, pictures)))
        probabilities = steps.op("Mul", steps.op("Add", probabilities, mirrored), steps.constant(np.float32(0.5)))
    few = predictor.num_classes <= 256
    kind = TensorProto.UINT8 if few else TensorProto.INT32
    steps.op("Cast", steps.op("ArgMax", probabilities, axis=1, keepdims=0), to=kind, name="labels")
    steps.op("Transpose", probabilities, perm=(0, 2, 3, 1), name="probabilities")
    sides = ["batch", "height", "width"]
    graph = helper.make_graph(
        steps.nodes, predictor.network.name, initializer=list(steps.initializers.values()),
        inputs=[helper.make_tensor_value_info("images", TensorProto.UINT8, [*sides, 3])],
        outputs=[helper.make_tensor_value_info("labels", kind, sides),
                 helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [*sides, predictor.num_classes])],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)


class _Steps:
    """Nodes and weights of a graph that grows; values are called by the names of their nodes."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, name: str = "", **attributes) -> str:
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value, name: str = "") -> str:
        name = name or f"constant_{len(self.initializers)}"
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def whole(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def size(self, x: str) -> str:
        """int64 [2]: height and width of an NCHW map."""
        return self.op("Shape", x, start=2, end=4)

    def resize(self, x: str, size: str) -> str:
        """Bilinear with aligned corners (`resize_align_corners`)."""
        # All four sizes, not two with `axes`: onnxruntime 1.32 takes those for four where it moves a Transpose past them.
        sizes = self.op("Concat", self.op("Shape", x, start=0, end=2), size, axis=0)
        return self.op("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode="align_corners")


def _probabilities(steps: _Steps, predictor: Predictor, pictures: str) -> str:
    """Mean-subtracted RGB [batch, 3, height, width] -> [batch, K, height, width]."""
    size = steps.size(pictures)
    # n + (1 - n) mod multiple; ONNX' Mod takes the sign of the divisor, as Python's.
    missing = steps.op("Mod", steps.op("Sub", steps.whole(1, 1), size), steps.whole(predictor.multiple, predictor.multiple))
    pads = steps.op("Concat", steps.whole(0, 0, 0, 0, 0, 0), missing, axis=0)
    padded = steps.op("Pad", pictures, pads)  # with 0, the mean pixel after its subtraction
    own = [_logits_at_scale(steps, predictor.network, padded, scale) for scale in predictor.scales]

    def at_full_size(logits):
        full = steps.resize(logits, steps.op("Add", size, missing))
        return steps.op("Softmax", steps.op("Slice", full, steps.whole(0, 0), size, steps.whole(2, 3)), axis=1)

    if len(own) == 1:
        return at_full_size(own[0])
    if predictor.fusion == "mean_probabilities":
        total = steps.op("Sum", *map(at_full_size, own))
        return steps.op("Div", total, steps.constant(np.float32(len(own))))
    target = steps.size(own[predictor.scales.index(1.0)])
    alike = [x if scale == 1.0 else steps.resize(x, target) for x, scale in zip(own, predictor.scales, strict=True)]
    return at_full_size(steps.op("Max", *alike))


def _logits_at_scale(steps: _Steps, network: keras.Model, pictures: str, scale: float) -> str:
    if scale != 1.0:
        factor, one = scale_factor(scale), steps.whole(1)  # as `multi_scale.scaled_size`
        between = steps.op("Mul", steps.op("Sub", steps.size(pictures), one), steps.whole(factor.numerator))
        size = steps.op("Add", steps.op("Div", between, steps.whole(factor.denominator)), one)
        pictures = steps.resize(pictures, size)
    return _network(steps, network, pictures)


def _network(steps: _Steps, network: keras.Model, pictures: str) -> str:
    values = {}
    for layer in network.layers:  # in the order of computation
        if isinstance(layer, keras.layers.InputLayer):
            values[id(layer.output)] = pictures
            continue
        sources = layer.input if isinstance(layer.input, list) else [layer.input]
        values[id(layer.output)] = _layer(steps, layer, *(values[id(source)] for source in sources))
    return values[id(network.output)]


def _layer(steps: _Steps, layer: keras.layers.Layer, *x: str) -> str:
    for kind, emit in _LAYERS.items():
        if isinstance(layer, kind):
            return emit(steps, layer, *x)
    raise UserError(
        f"format onnx: the network's layer {layer.name} is a {type(layer).__name__}, expected one of the zoo's "
        "layers; export it as saved_model."
    )


def _conv(steps: _Steps, layer: PlainConv2D, x: str) -> str:
    (top, bottom), (left, right) = layer.padding
    y = steps.op(
        "Conv", x, steps.constant(layer.kernel.transpose(3, 2, 0, 1), f"{layer.name}/kernel"),
        steps.constant(layer.bias, f"{layer.name}/bias"), kernel_shape=layer.kernel.shape[:2], dilations=layer.rate,
        strides=(layer.strides, layer.strides), pads=(top, left, bottom, right),
    )  # fmt: skip
    return steps.op("Relu", y) if layer.relu else y


def _max_pool(steps: _Steps, layer: CaffeMaxPool2D | PlainMaxPool2D, x: str) -> str:
    """ONNX pads with what never wins; one row before and `strides` after, as `CaffeMaxPool2D`."""
    rate = getattr(layer, "rate", 1)
    before, after = (rate, rate) if layer.strides == 1 else (1, 2)
    return steps.op(
        "MaxPool",
        x,
        kernel_shape=(3, 3),
        strides=(layer.strides, layer.strides),
        dilations=(rate, rate),
        pads=(before, before, after, after),
    )


def _zero_padding(steps: _Steps, layer: keras.layers.ZeroPadding2D, x: str) -> str:
    (top, bottom), (left, right) = layer.padding
    return steps.op("Pad", x, steps.whole(0, 0, top, left, 0, 0, bottom, right))


def _average_pool(steps: _Steps, layer: keras.layers.AveragePooling2D, x: str) -> str:
    return steps.op("AveragePool", x, kernel_shape=layer.pool_size, strides=layer.strides)


def _mirror(steps: _Steps, x: str) -> str:
    return steps.op("Slice", x, steps.whole(-1), steps.whole(np.iinfo(np.int64).min), steps.whole(3), steps.whole(-1))


_LAYERS = {
    SubtractMean: lambda steps, layer, x: steps.op("Gather", x, steps.whole(2, 1, 0), axis=1),  # RGB -> BGR; the rest is done
    PlainConv2D: _conv,
    PlainMaxPool2D: _max_pool,
    CaffeMaxPool2D: _max_pool,
    keras.layers.Add: lambda steps, layer, *x: steps.op("Sum", *x),
    keras.layers.ReLU: lambda steps, layer, x: steps.op("Relu", x),
    keras.layers.Dropout: lambda steps, layer, x: x,
    keras.layers.ZeroPadding2D: _zero_padding,
    keras.layers.AveragePooling2D: _average_pool,
}
