#!/bin/sh
# The engine's tests under AddressSanitizer and UndefinedBehaviorSanitizer, and again under ThreadSanitizer, each in a copy of
# the package. Linux with GCC. Arguments go to pytest.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
tests="tests/crf/test_engine.py tests/crf/test_filtering.py tests/crf/test_feature_crf.py tests/crf/test_prune.py"
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

build() {  # flags
  rm -rf "$copy"/*
  cp -r "$root/deeplab_tf" "$root/tests" "$root/setup.py" "$copy"
  cp "$root/setup.cfg" "$root/pyproject.toml" "$root/README.md" "$copy" 2>/dev/null || true
  rm -f "$copy"/deeplab_tf/crf/_engine*
  (cd "$copy" && CFLAGS="$1 -fno-omit-frame-pointer" LDFLAGS="$1" "$python" setup.py -q build_ext --inplace)
  ls "$copy"/deeplab_tf/crf/_engine* >/dev/null
}

library() { gcc -print-file-name="$1"; }

build "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
cd "$copy"
# Python itself leaks by design; the C++ runtime must be there before the first exception passes the sanitizer.
PYTHONPATH="$copy" LD_PRELOAD="$(library libasan.so) $(library libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
  "$python" -m pytest -q -n 0 -p no:cacheprovider $tests "$@"

build "-fsanitize=thread"
# What is not compiled with the sanitizer is taken at its word; its address space must not be shuffled.
printf 'called_from_lib:libscipy_openblas\nrace:python3\n' > suppressions
PYTHONPATH="$copy" LD_PRELOAD="$(library libtsan.so) $(library libstdc++.so)" OPENBLAS_NUM_THREADS=1 \
  TSAN_OPTIONS="suppressions=$copy/suppressions halt_on_error=1 ignore_noninstrumented_modules=1" \
  setarch -R "$python" -m pytest -q -n 0 -p no:cacheprovider $tests "$@"
