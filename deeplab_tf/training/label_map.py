"""The labels of loss and metric; apart, because either may be the first to be imported with Keras."""


def label_map(labels, name: str):
    """[batch, H, W] of labels that may have a last axis of 1.

    Raises:
      ValueError: the last axis is known not to be 1, as of one-hot labels; `name` says whose they are.
    """
    if len(labels.shape) != 4:
        return labels
    if labels.shape[-1] not in (None, 1):
        raise ValueError(
            f"{name}: got labels of shape {tuple(labels.shape)}, expected class ids [batch, H, W] or [batch, H, W, 1]; take "
            "the argmax of one-hot labels."
        )
    return labels[..., 0]
