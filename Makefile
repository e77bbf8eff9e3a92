# `make run` and `make test` set up all they need first: a virtual environment in .venv.
.PHONY: setup run edit train test gpu accept bench bench-gui faults soak screenshots lint clean
.DELETE_ON_ERROR:

PYTHON := .venv/bin/python
GRAPH ?= graphs/dann.yaml
ARGS ?=

run: edit

edit: setup  # make edit ARGS=graphs/lenet.yaml
	$(PYTHON) -m nodegraph edit $(ARGS)

train: setup  # make train GRAPH=graphs/lenet.yaml ARGS="--preset quick"
	$(PYTHON) -m nodegraph train $(GRAPH) $(ARGS)

test: setup lint
	$(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not accept" $(ARGS)

gpu: setup  # where there is one; `make test` uses none
	$(PYTHON) -m pytest -m gpu $(ARGS)

accept: setup
	$(PYTHON) -m pytest -m accept $(ARGS)

bench: setup
	$(PYTHON) -m tests.bench $(ARGS)

bench-gui: setup
	$(PYTHON) -m tests.bench_gui $(ARGS)

faults: setup  # break live training in every way, many times
	$(PYTHON) -m tests.fault_matrix $(ARGS)

soak: setup  # 20,000 steps in the window: what grows?
	$(PYTHON) -m tests.soak $(ARGS)

screenshots: setup  # into graphs/pictures
	$(PYTHON) -m tests.screenshots

lint: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt .ci/setup
	sh .ci/setup

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
