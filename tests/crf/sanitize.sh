#!/bin/sh
# The engine's tests under AddressSanitizer and UndefinedBehaviorSanitizer, in a copy of the package. Linux with GCC.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$root/deeplab_tf" "$root/tests" "$root/setup.py" "$copy"
cp "$root/setup.cfg" "$root/pyproject.toml" "$root/README.md" "$copy" 2>/dev/null || true
rm -f "$copy"/deeplab_tf/crf/_engine*
cd "$copy"
CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" \
  LDFLAGS="-fsanitize=address,undefined" "$python" setup.py -q build_ext --inplace
ls deeplab_tf/crf/_engine* >/dev/null
# Python itself leaks by design; the C++ runtime must be there before the first exception passes the sanitizer.
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
  "$python" -m pytest -q -p no:cacheprovider tests/crf/test_engine.py "$@"
