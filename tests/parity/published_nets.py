"""The published nets as prototxt text, with seeded random weights under the published names.

The structure is that of DeepLab v2's deploy files; sizes are fixed in the text, as OpenCV's importer wants them.
"""

import numpy as np
from weights.caffe_writer import Layer

_VGG = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
_RESNET101 = {2: ("a", "b", "c"), 3: ("a", "b1", "b2", "b3"), 4: ("a", *(f"b{i}" for i in range(1, 23))), 5: ("a", "b", "c")}


class CaffeNet:
    """Collects layers; `prototxt()` and `layers` describe the same net."""

    def __init__(self, height, width, seed=0):
        self.layers: list[Layer] = []
        self.tops: list[str] = []
        self._text = [f'input: "data"\ninput_shape {{ dim: 1 dim: 3 dim: {height} dim: {width} }}']
        self._weights: dict[str, tuple[np.ndarray, ...]] = {}
        self._random = np.random.default_rng(seed)
        self._channels = {"data": 3}

    def prototxt(self):
        return "\n".join(self._text) + "\n"

    def conv(self, name, bottom, filters, size, *, stride=1, pad=0, dilation=1, bias=True, gain=2.0, relu=False):
        """A convolution with He-like random weights; copies of a layer at another scale share them."""
        fan_in = self._channels[bottom] * size * size
        scale = np.sqrt(gain / fan_in) * (1 / 64 if bottom == "data" or bottom.startswith("shrink") else 1)
        blobs = self._shared(
            name,
            lambda: (
                [scale * self._normal(filters, self._channels[bottom], size, size)]
                + ([0.1 * self._normal(filters)] if bias else [])
            ),
        )
        parameters = (
            f"convolution_param {{ num_output: {filters} kernel_size: {size} stride: {stride} pad: {pad}"
            f" dilation: {dilation} bias_term: {str(bias).lower()} }}"
        )
        self._add(name, "Convolution", [bottom], name, filters, parameters, blobs)
        if relu:
            self.relu(name)
        return name

    def relu(self, blob):
        self._add(f"relu_{blob}", "ReLU", [blob], blob, self._channels[blob])

    def batch_norm(self, name, scale_name, blob, gain=1.0):
        """BatchNorm and Scale in place; the statistics are sums, with their factor."""
        n, factor = self._channels[blob], np.float32(37.5)
        statistics = self._shared(
            name, lambda: [0.2 * self._normal(n) * factor, self._uniform(n, 0.5, 1.5) * factor, factor.reshape(1)]
        )
        affine = self._shared(scale_name, lambda: [gain * self._uniform(n, 0.7, 1.3), 0.1 * self._normal(n)])
        self._add(name, "BatchNorm", [blob], blob, n, "batch_norm_param { use_global_stats: true }", statistics)
        self._add(scale_name, "Scale", [blob], blob, n, "scale_param { bias_term: true }", affine)

    def pool(self, name, bottom, stride):
        self._add(
            name,
            "Pooling",
            [bottom],
            name,
            self._channels[bottom],
            f"pooling_param {{ pool: MAX kernel_size: 3 stride: {stride} pad: 1 }}",
        )
        return name

    def combine(self, name, bottoms, operation="SUM"):
        self._add(name, "Eltwise", bottoms, name, self._channels[bottoms[0]], f"eltwise_param {{ operation: {operation} }}")
        return name

    def interp(self, name, bottom, height, width):
        self._add(name, "Interp", [bottom], name, self._channels[bottom], f"interp_param {{ height: {height} width: {width} }}")
        return name

    def _add(self, name, kind, bottoms, top, channels, parameters="", blobs=()):
        wires = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
        self._text.append(f'layer {{ name: "{name}" type: "{kind}" {wires} top: "{top}" {parameters} }}')
        self.layers.append(Layer(name, kind, tuple(blobs)))
        self._channels[top] = channels
        if top not in self.tops:
            self.tops.append(top)

    def _shared(self, name, make):
        key = name.replace("_res075", "").replace("_res05", "")
        if key not in self._weights:
            self._weights[key] = tuple(np.asarray(blob, np.float32) for blob in make())
        return self._weights[key]

    def _normal(self, *shape):
        return self._random.standard_normal(shape, np.float32)

    def _uniform(self, count, low, high):
        return self._random.uniform(low, high, count).astype(np.float32)


def vgg16(height, width, rates, *, fc_channels=1024, fc_size=3, seed=0):
    """VGG-16 DeepLab: one rate is LargeFOV, several are ASPP. The logits are the last top."""
    net = CaffeNet(height, width, seed)
    x = "data"
    for stage, (count, filters) in enumerate(_VGG, start=1):
        hole = 2 if stage == 5 else 1
        for i in range(1, count + 1):
            x = net.conv(f"conv{stage}_{i}", x, filters, 3, pad=hole, dilation=hole, relu=True)
        x = net.pool(f"pool{stage}", x, 2 if stage < 4 else 1)
    scores = []
    for i, rate in enumerate(rates, start=1):
        tag = f"_{i}" if len(rates) > 1 else ""
        y = net.conv(f"fc6{tag}", x, fc_channels, fc_size, pad=rate * (fc_size - 1) // 2, dilation=rate, relu=True)
        y = net.conv(f"fc7{tag}", y, fc_channels, 1, relu=True)
        scores.append(net.conv(f"fc8_voc12{tag}", y, 21, 1))
    if len(scores) > 1:
        net.combine("fc8_sum", scores)
    return net


def resnet101_aspp(height, width, rates=(6, 12, 18, 24), *, seed=0):
    """ResNet-101 with the ASPP head at one scale."""
    net = CaffeNet(height, width, seed)
    _resnet_branch(net, "data", "", rates)
    return net


def resnet101_aspp_msc(height, width, rates=(6, 12, 18, 24), *, seed=0):
    """The multi-scale net: three copies of the trunk at scales 1, .75 and .5, fused by the maximum of their logits."""
    net = CaffeNet(height, width, seed)
    scores = [_resnet_branch(net, "data", "", rates)]
    size = [(n - 1) // 8 + 1 for n in (height, width)]
    for scale, tag in ((0.75, "_res075"), (0.5, "_res05")):
        sides = [int((n - 1) * scale) + 1 for n in (height, width)]
        picture = net.interp(f"shrink{tag}", "data", *sides)
        scores.append(net.interp(f"fc1_voc12{tag}_interp", _resnet_branch(net, picture, tag, rates), *size))
    net.combine("fc_fusion", scores, "MAX")
    return net


def _resnet_branch(net, picture, scale, rates):
    """One copy of the trunk and head; `scale` is the tail of its layer names."""
    x = net.conv(f"conv1{scale}", picture, 64, 7, stride=2, pad=3, bias=False)
    net.batch_norm(f"bn_conv1{scale}", f"scale_conv1{scale}", x)
    net.relu(x)
    x = net.pool(f"pool1{scale}", x, 2)
    for stage, blocks in _RESNET101.items():
        hole = {4: 2, 5: 4}.get(stage, 1)
        for block in blocks:
            x = _block(net, x, f"{stage}{block}", scale, 32 * 2 ** (stage - 1), 2 if (stage, block) == (3, "a") else 1, hole)
    heads = [net.conv(f"fc1_voc12{scale}_c{i}", x, 21, 3, pad=rate, dilation=rate) for i, rate in enumerate(rates)]
    return net.combine(f"fc1_voc12{scale}", heads)


def _block(net, x, tag, scale, filters, stride, hole):
    def conv(branch, bottom, count, size, **options):
        top = net.conv(f"res{tag}_branch{branch}{scale}", bottom, count, size, bias=False, **options)
        net.batch_norm(
            f"bn{tag}_branch{branch}{scale}", f"scale{tag}_branch{branch}{scale}", top, gain=0.3 if branch == "2c" else 1.0
        )
        return top

    shortcut = conv("1", x, 4 * filters, 1, stride=stride) if tag.endswith("a") else x
    y = conv("2a", x, filters, 1, stride=stride)
    net.relu(y)
    y = conv("2b", y, filters, 3, pad=hole, dilation=hole)
    net.relu(y)
    y = conv("2c", y, 4 * filters, 1)
    top = net.combine(f"res{tag}{scale}", [shortcut, y])
    net.relu(top)
    return top
