"""Label maps as files, in the network's ids or the data set's own."""

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.inference import segment
from deeplab_tf.evaluation.pictures import predict_pictures


def test_label_ids_are_read_back_as_the_classes_they_stand_for(make_model, picture, tmp_path):
    spec, model, image = get_dataset("cityscapes"), make_model(19), picture(40, 56)
    Image.fromarray(image).save(tmp_path / "street.png")
    expected = segment(model, image).argmax(axis=-1)
    for ids in (None, spec.ids):
        out = tmp_path / str(ids is None)
        (written,) = predict_pictures(model, [tmp_path / "street.png"], out, palette=spec.palette, ids=ids)
        values, colors = np.asarray(Image.open(written)), np.asarray(Image.open(written).convert("RGB"))
        np.testing.assert_array_equal(colors, np.array(spec.palette)[expected])
        if ids is None:
            np.testing.assert_array_equal(values, expected)
        else:
            assert values.min() >= 7 and len(np.unique(values)) > 3  # road is 7; 0 to 6 are not trained
            np.testing.assert_array_equal(read_label(written, spec), expected)
    with pytest.raises(UserError, match="got 1018, expected at most 255"):
        predict_pictures(model, [tmp_path / "street.png"], tmp_path / "c", palette=spec.palette, ids=range(1000, 1019))
    assert not (tmp_path / "c").exists()
