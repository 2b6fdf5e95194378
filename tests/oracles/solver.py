"""Caffe's SGD solver and the published loss, written out slowly in NumPy."""

import numpy as np


def learning_rate(policy, base, step, *, steps=1, power=0.9, step_size=1, gamma=0.1):
    if policy == "poly":
        return base * (1 - step / steps) ** power
    return base * gamma ** np.floor(step / step_size)


class Solver:
    """One weight array a name; gradients of iter_size micro-batches are averaged before the update."""

    def __init__(self, weights, multipliers, momentum=0.9, decay=5e-4):
        self.weights = {name: np.array(value, np.float64) for name, value in weights.items()}
        self.history = {name: np.zeros_like(value) for name, value in self.weights.items()}
        self.multipliers, self.momentum, self.decay = multipliers, momentum, decay

    def update(self, gradients, rate):
        for name, weight in self.weights.items():
            rate_multiplier, decay_multiplier = self.multipliers[name]
            gradient = np.mean([g[name] for g in gradients], axis=0)
            gradient = gradient + self.decay * decay_multiplier * weight
            self.history[name] = self.momentum * self.history[name] + rate * rate_multiplier * gradient
            self.weights[name] = weight - self.history[name]


class AdamW(Solver):
    """Decoupled decay, bias-corrected moments."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.squares, self.step = {name: np.zeros_like(value) for name, value in self.weights.items()}, 0

    def update(self, gradients, rate, beta_2=0.999, epsilon=1e-7):
        self.step += 1
        correct = [1 - beta**self.step for beta in (self.momentum, beta_2)]
        for name, weight in self.weights.items():
            rate_multiplier, decay_multiplier = self.multipliers[name]
            gradient = np.mean([g[name] for g in gradients], axis=0)
            self.history[name] = self.momentum * self.history[name] + (1 - self.momentum) * gradient
            self.squares[name] = beta_2 * self.squares[name] + (1 - beta_2) * gradient**2
            # Epsilon beside the uncorrected moment, as Kingma and Ba's faster form has it.
            adam = np.sqrt(correct[1]) / correct[0] * self.history[name] / (np.sqrt(self.squares[name]) + epsilon)
            own = rate * rate_multiplier
            self.weights[name] = weight - own * self.decay * decay_multiplier * weight - own * adam


def cross_entropy(labels, logits, ignore_label=255, class_weights=None):
    """Mean over the positions that are not ignored (at least one), pixel by pixel."""
    total, valid = 0.0, 0
    for label, scores in zip(labels.reshape(-1), logits.reshape(-1, logits.shape[-1]), strict=True):
        if label == ignore_label:
            continue
        scores = scores.astype(np.float64) - scores.max()
        weight = 1.0 if class_weights is None else class_weights[label]
        total += weight * (np.log(np.exp(scores).sum()) - scores[label])
        valid += 1
    return total / max(valid, 1)
