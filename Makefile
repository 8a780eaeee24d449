# make train     sets everything up, then trains a small agent (ARGS="..." for another run)
# make test      sets everything up, then runs the tests (ARGS="..." for pytest)
# make thorough  runs the tests that take long, which make test leaves out
# make faults    kills and harms runs of tiny agents, for a quarter of an hour (ARGS="..." for pytest)
# make learn     trains three tiny tasks and fails where they are learned less well than recorded
# make minutes   trains four small tasks and says after how many minutes each is learned
# make agents    trains three small agents and writes a folder of each that can be published
# make docs      builds the documentation as a site in build/docs
# Another interpreter: make PYTHON=python3.12 setup

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RENDERING := $(VENV)/.rendering
# Made anew where the folder was moved or copied, or PYTHON is of another version.
$(shell sh scripts/setup_venv.sh --check $(VENV) $(PYTHON))

.PHONY: train test thorough faults learn minutes agents lint docs bench setup browser clean

train: ARGS ?= --configs dmc_proprio cpu --task dmc_cartpole_balance --steps 60000
train: setup
	$(BIN)/dreamer-train $(ARGS)

test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

thorough: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m thorough $(ARGS)

faults: setup
	$(BIN)/python -m pytest -m "faults or not slow" $(ARGS) tests/faults

# Nine runs, one after the other. Runs from before must be moved away: they are refused.
learn: setup
	$(BIN)/python -m tests.learn $(ARGS)

# Twelve runs, one after the other, on a quiet machine; a folder from before must be moved away.
minutes: setup
	$(BIN)/python -m tests.minutes $(ARGS)

agents: setup
	$(BIN)/python -m tests.learn --seeds 0 --logdir build/runs_of_agents --agents build/agents $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

# The site in build/docs; a broken link or reference is an error.
docs: $(INSTALLED)
	$(BIN)/python -m sphinx -b html -c docs -W --keep-going -q . build/docs

bench: ARGS ?= --configs dmc_tf2
bench: setup
	$(BIN)/dreamer-benchmark $(ARGS)

setup: $(INSTALLED) $(RENDERING)

$(INSTALLED): requirements.txt requirements-dev.txt setup.py scripts/setup_venv.sh
	sh scripts/setup_venv.sh $(VENV) $(PYTHON)
	@pwd -P >$@

# Without rendering, training from state works: warn, go on, and try again next time.
$(RENDERING): $(INSTALLED) scripts/setup_rendering.sh
	@sh scripts/setup_rendering.sh $(BIN)/python && touch $@ || true

# For the tests of pages only, which are skipped without one.
browser:
	@sh scripts/setup_browser.sh

clean:
	rm -rf $(VENV) build dist *.egg-info
