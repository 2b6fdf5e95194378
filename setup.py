"""Compiles the dense CRF engine where that is possible; everything else is in setup.cfg.

The extension is optional: without a C++17 compiler, or without pybind11, the package installs all the same and the
NumPy twin of the engine serves.
"""

import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

LOST = (
    "deeplab_tf: the dense CRF engine was not compiled ({}); the CRF will run in NumPy with the same results, "
    "10 to 30 times slower."
)
FOLDER = "deeplab_tf/crf/native/"
SOURCES = [
    FOLDER + name
    for name in ("binding.cpp", "engine.cpp", "filter_avx2.cpp", "filter_baseline.cpp", "lattice.cpp", "prune.cpp", "rows.cpp")
]
EXACT = FOLDER + "lattice.cpp"  # rounds after every operation: a fused multiply-add would move samples to other simplices
HEADERS = [
    FOLDER + name
    for name in ("engine.h", "filter.h", "filter.inl", "lattice.h", "memory.h", "prune.h", "rows.h", "simd.h", "team.h")
]


class OptionalBuild(build_ext):
    """Goes on without the engine where it does not compile, and says in one line what that costs."""

    def build_extension(self, extension):
        windows = self.compiler.compiler_type == "msvc"
        extension.extra_compile_args = (
            ["/std:c++17", "/O2", "/EHsc"]
            if windows
            else ["-std=c++17", "-O3", "-fvisibility=hidden", "-pthread", "-Wno-psabi", "-g0"]
        )
        extension.extra_link_args = [] if windows else ["-pthread"]
        try:
            import pybind11

            extension.include_dirs.append(pybind11.get_include())
            if not windows:
                self._compile_exactly(extension)
            super().build_extension(extension)
        except Exception as error:  # no compiler, no headers, no pybind11: all mean the same to the user
            extension.optional = True
            print(LOST.format(str(error).splitlines()[0] if str(error) else type(error).__name__), file=sys.stderr)

    def _compile_exactly(self, extension):
        extension.extra_objects = self.compiler.compile(
            [EXACT],
            output_dir=self.build_temp,
            include_dirs=extension.include_dirs,
            depends=extension.depends,
            extra_postargs=[*extension.extra_compile_args, "-ffp-contract=off"],
        )
        extension.sources = [source for source in extension.sources if source != EXACT]

    def copy_extensions_to_source(self):
        built = [extension for extension in self.extensions if not getattr(extension, "optional", False)]
        self.extensions, every = built, self.extensions
        super().copy_extensions_to_source()
        self.extensions = every


setup(
    ext_modules=[Extension("deeplab_tf.crf._engine", SOURCES, depends=HEADERS, language="c++")],
    cmdclass={"build_ext": OptionalBuild},
)
