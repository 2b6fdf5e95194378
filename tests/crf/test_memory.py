"""What the engine does where memory is short: it refuses before it starts, and a failed allocation leaves it whole."""

import subprocess
import sys

import numpy as np
import pytest

from deeplab_tf.crf.dense_crf import DenseCRF, has_native
from deeplab_tf.crf.feature_crf import FeatureCRF, PairwiseKernel
from tests.crf.conftest import make_picture

pytestmark = pytest.mark.skipif(not has_native(), reason="the compiled engine is not built")
SENTENCE = r"CRF memory: \d+ pixels with \d+ classes need about .* GiB, and the limit is .* GiB; .*refine.*memory_limit\.$"


def test_what_needs_more_than_the_limit_is_refused_in_a_sentence():
    image, probs = make_picture(60, 60, 3)
    many = np.full((60, 60, 2000), 1 / 2000, np.float32)
    crf = DenseCRF(memory_limit=0.05)
    crf(image, probs)
    with pytest.raises(ValueError, match=SENTENCE):
        crf(image, many)
    with pytest.raises(ValueError, match=SENTENCE):
        DenseCRF(memory_limit=1e-4)(image, probs)
    kernel = PairwiseKernel(np.random.default_rng(0).normal(size=(5000, 3)))
    with pytest.raises(ValueError, match=SENTENCE):
        FeatureCRF([kernel], memory_limit=0.02).infer(np.zeros((5000, 500)), 1)
    for limit in (0, -1, "8", None, np.nan):
        with pytest.raises(ValueError, match="memory_limit: got"):
            DenseCRF(memory_limit=limit)


def test_large_pictures_of_usual_kinds_are_within_the_limit():
    """The largest sizes in use, by what they need; nothing of theirs is allocated for this."""
    image, probs = make_picture(64, 128, 19)
    for share, classes in (((64 * 128) / (2048 * 1024), 19), ((64 * 128) / (500 * 375), 171)):
        DenseCRF(memory_limit=8 * share)(image, np.resize(probs, (64, 128, classes)))


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_a_failed_allocation_leaves_the_workspace_right():
    code = """
import resource
import numpy as np
from deeplab_tf.crf.engines import engine
image = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
probs = np.full((150, 200, 21), 1 / 21, np.float32)
many = np.full((150, 200, 800), 1 / 800, np.float32)
workspace = engine().Workspace()
kernels = engine().Kernels.of_picture(image, 20, 5, 2, "symmetric", 2, workspace, 1e12)
run = lambda values: kernels.infer(values, True, [(4, None), (3, None)], 3)
before, held = run(probs), workspace.in_use
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), resource.RLIM_INFINITY))
try:
    run(many)
except MemoryError:
    pass
else:
    raise AssertionError("there was room after all")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert workspace.in_use == held > 0, (workspace.in_use, held)
np.testing.assert_array_equal(run(probs), before)
del kernels
assert workspace.in_use == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
