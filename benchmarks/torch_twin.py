"""A plain PyTorch twin of ResNet-101 ASPP for comparisons of speed: the published structure, no tricks.

Batch norm runs frozen as in the published ports, as a layer of its own; its gamma and beta ask for no gradient, which
favours torch. The step is torch's SGD with momentum and decay on the same loss as ours.
"""

from __future__ import annotations

import contextlib

import torch
from torch import nn

BLOCKS, WIDTHS, RATES = (3, 4, 23, 3), (64, 128, 256, 512), (6, 12, 18, 24)
STRIDES, DILATIONS = (1, 2, 1, 1), (1, 1, 2, 4)


class ConvBatchNorm(nn.Sequential):
    """Convolution without bias, frozen batch norm, optional ReLU."""

    def __init__(self, inputs, filters, size, stride=1, dilation=1, relu=True):
        padding = dilation * (size - 1) // 2
        layers = [nn.Conv2d(inputs, filters, size, stride, padding, dilation, bias=False), nn.BatchNorm2d(filters)]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Bottleneck(nn.Module):
    """1x1 - 3x3 - 1x1 with the stride on the first 1x1."""

    def __init__(self, inputs, filters, stride, dilation, project):
        super().__init__()
        self.branch = nn.Sequential(
            ConvBatchNorm(inputs, filters, 1, stride),
            ConvBatchNorm(filters, filters, 3, dilation=dilation),
            ConvBatchNorm(filters, 4 * filters, 1, relu=False),
        )
        self.shortcut = ConvBatchNorm(inputs, 4 * filters, 1, stride, relu=False) if project else nn.Identity()

    def forward(self, x):
        return nn.functional.relu(self.branch(x) + self.shortcut(x))


class ResNet101ASPP(nn.Module):
    """[batch, 3, height, width] mean-subtracted BGR -> logits [batch, classes, h, w]."""

    def __init__(self, classes=21):
        super().__init__()
        layers = [ConvBatchNorm(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1, ceil_mode=True)]
        inputs = 64
        for blocks, width, stride, dilation in zip(BLOCKS, WIDTHS, STRIDES, DILATIONS, strict=True):
            for i in range(blocks):
                layers.append(Bottleneck(inputs, width, stride if i == 0 else 1, dilation, project=i == 0))
                inputs = 4 * width
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Conv2d(inputs, classes, 3, 1, rate, rate) for rate in RATES)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)

    def forward(self, x):
        x = self.trunk(x)
        return sum(head(x) for head in self.heads)

    def train(self, mode=True):
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def cast_to(precision: str):
    """The context in which torch computes in this precision, "float32" or "mixed_bfloat16"."""
    return torch.autocast("cpu", torch.bfloat16) if precision == "mixed_bfloat16" else contextlib.nullcontext()


def make_runs(images, labels, precision: str, threads: int | None = None):
    """(forward, step): functions without arguments on `images` [B,H,W,3] and `labels` [B,H,W], NumPy.

    `precision` "mixed_bfloat16" runs under torch.autocast.
    """
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = ResNet101ASPP()
    for parameter in model.parameters():
        if parameter.dim() == 4:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            parameter.data *= 0.5  # keeps random activations in range over 33 blocks
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()) - 110
    targets = torch.from_numpy(labels[:, ::8, ::8].copy()).long()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 1e-8, momentum=0.9, weight_decay=5e-4)

    def forward():
        model.eval()
        with torch.inference_mode(), cast_to(precision):
            return model(x).float()

    def step():
        model.train()
        with cast_to(precision):
            logits = model(x).float()
        loss = nn.functional.cross_entropy(logits, targets, ignore_index=255)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return forward, step
