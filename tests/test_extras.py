import re
import sys

import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.extras import check_installed, needed


def test_a_module_that_is_there():
    assert needed("json.decoder", "web", "the page") is sys.modules["json.decoder"]
    check_installed("json", "web", "the page")


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.part"])
def test_a_package_that_is_missing(module):
    sentence = 'no_such_package is not installed, which the page needs; run `pip install "deeplab_tf[web]"`.'
    with pytest.raises(UserError, match=re.escape(sentence)):
        needed(module, "web", "the page")
    with pytest.raises(UserError, match=re.escape(sentence)):
        check_installed("no_such_package", "web", "the page")


def test_a_package_that_lacks_what_it_imports(tmp_path, monkeypatch):
    (tmp_path / "half_a_package.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="half_a_package cannot be imported .No module named 'no_such_package'., which the"):
        needed("half_a_package", "web", "the page")


def test_every_extra_that_is_named_is_one(pytestconfig):
    setup = (pytestconfig.rootpath / "setup.cfg").read_text()
    extras = re.findall(r"^(\w+) =$", setup.partition("[options.extras_require]")[2], re.MULTILINE)
    named = {extra for path in (pytestconfig.rootpath / "deeplab_tf").rglob("*.py")
             for extra in re.findall(r'needed\("[\w.]+", "(\w+)"', path.read_text())}  # fmt: skip
    assert named and named <= set(extras)
