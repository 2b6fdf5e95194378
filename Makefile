# Everything runs in .venv, which the first target that needs it makes. PYTHON picks the interpreter (3.11 or later).
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo
# A fresh clone has what `make test` needs after this; the stamp is renewed when the requirements or the engine change.
STAMP := .venv/.installed
ENGINE := $(wildcard deeplab_tf/crf/native/*)

.PHONY: venv demo paper paper-quick test lint docs bench sanitize clean

venv: $(STAMP)

$(STAMP): setup.cfg setup.py pyproject.toml $(ENGINE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24" "setuptools>=77" wheel "pybind11>=2.12"
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[test]"
	touch $@

demo: venv
	$(BIN)/python -m deeplab_tf.train --flagfile=experiments/miniature.flags --workdir=$(DEMO)
	$(BIN)/python -m deeplab_tf.eval --workdir=$(DEMO)
	$(BIN)/python -m deeplab_tf.export --workdir=$(DEMO) --out=$(DEMO)/saved_model --overwrite
	$(BIN)/python -m deeplab_tf.predict --workdir=$(DEMO) --out=$(DEMO)/predictions --overwrite data/miniature/images/val/100000[0-7].jpg
	@echo "report:     $(DEMO)/eval/val/report.html"
	@echo "SavedModel: $(DEMO)/saved_model"

# The paper's Tables 1-4 on rendered scenes: all rows with three seeds, or four rows with one.
paper: venv
	$(BIN)/python -m deeplab_tf.paper

paper-quick: venv
	$(BIN)/python -m deeplab_tf.paper --quick --out=runs/miniature/quick

test: venv
	$(BIN)/python -m pytest

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "documentation: build/docs/index.html"

bench: venv
	$(BIN)/python -m deeplab_tf.benchmark models
	$(BIN)/python -m deeplab_tf.benchmark crf
	$(BIN)/python -m deeplab_tf.benchmark data

sanitize: venv
	sh tests/crf/sanitize.sh

clean:
	rm -rf .venv build runs *.egg-info
