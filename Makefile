# Each target works as the first command on a fresh clone, and repeats nothing that is already done.
#
# PYTHON picks the interpreter (3.11 or newer). Without it an existing .venv is kept as it is, whichever Python it was
# made with; `make PYTHON=python3.12 env` makes it anew when it was made with another one.

VENV := .venv
RUN := $(VENV)/bin/python
TUNIX_VENV := .venv-tunix
AHEAD_VENV := .venv-ahead
INSTALLED := $(VENV)/.installed
REQUIREMENTS := requirements.txt requirements/dev.txt
# What the base model of the demo's pair was trained with: grpo, ppo, dpo or sft.
PAIR ?= grpo
WORKDIR ?= workdirs/tiny_$(PAIR)
# A worker a core; a file's tests stay together, for they share compiled programs.
PARALLEL := --numprocesses=logical --maxprocesses=8 --dist=loadfile

.PHONY: help env demo test test-slow test-tunix test-ahead pair pairs clean
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1: \2/p' $(MAKEFILE_LIST)

env: $(INSTALLED)  ## make .venv with everything that demo and tests need

demo: env  ## the main job on a shipped pair of models (PAIR=grpo, ppo, dpo or sft); results in WORKDIR
	$(RUN) run.py --config=configs/tiny_$(PAIR).py --workdir=$(WORKDIR)

test: env  ## linter, formatter, type checker and tests
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(RUN) -m pytest $(PARALLEL)

test-slow: env  ## the tests that are too slow for every change
	$(RUN) -m pytest $(PARALLEL) -m slow

test-tunix: $(TUNIX_VENV)/.installed  ## conversion from and to google-tunix, in an environment of its own (1.6 GB)
	$(TUNIX_VENV)/bin/python -m pytest tests/models/tunix

test-ahead: $(AHEAD_VENV)/.installed  ## 7B and 70B models compiled for TPUs and GPUs that are not here, in an environment of its own
	$(AHEAD_VENV)/bin/python -m pytest tests/parallel/test_compile_ahead.py -m slow

pair: env  ## train the shipped pair of models again from nothing
	$(RUN) -m jaxeap.rl.build_pair

pairs: env  ## the same with models after PPO, DPO and more supervised fine-tuning beside them
	$(RUN) -m jaxeap.rl.build_pair --methods=grpo,ppo,dpo,sft_more

clean:  ## remove the environment, builds and caches; results stay
	rm -rf $(VENV) $(TUNIX_VENV) $(AHEAD_VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

IDENTITY := import sys; print(sys.base_prefix, sys.version)

ifneq ($(PYTHON),)
ifneq ($(shell $(PYTHON) -c '$(IDENTITY)'),$(shell $(RUN) -c '$(IDENTITY)' 2>/dev/null))
.PHONY: $(VENV)/pyvenv.cfg
endif
endif

$(VENV)/pyvenv.cfg: INTERPRETER = $(or $(PYTHON),python3)
$(VENV)/pyvenv.cfg:
	@$(INTERPRETER) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'jaxeap needs Python 3.11 or newer, and "$(INTERPRETER)" is not: try  make PYTHON=python3.12 env' >&2; exit 1; }
	$(INTERPRETER) -m venv --clear $(VENV)

# Compiling every module of every package takes half a minute; the few that are imported compile themselves.
$(INSTALLED): $(VENV)/pyvenv.cfg pyproject.toml $(REQUIREMENTS)
	$(RUN) -m pip install $(if $(CI),--quiet) --prefer-binary --no-compile --editable '.[dev]'
	@touch $@

# google-tunix holds some packages back (safetensors below 0.8), so it has an environment of its own.
$(TUNIX_VENV)/.installed: pyproject.toml requirements.txt requirements/tunix.txt
	$(or $(PYTHON),python3) -m venv --clear $(TUNIX_VENV)
	$(TUNIX_VENV)/bin/python -m pip install $(if $(CI),--quiet) --prefer-binary --no-compile --editable '.[tunix]' pytest hypothesis
	@touch $@

# libtpu is looked for by every program that imports JAX, so it has an environment of its own.
$(AHEAD_VENV)/.installed: pyproject.toml requirements.txt requirements/ahead.txt
	$(or $(PYTHON),python3) -m venv --clear $(AHEAD_VENV)
	$(AHEAD_VENV)/bin/python -m pip install $(if $(CI),--quiet) --prefer-binary --no-compile --editable '.[ahead]' pytest hypothesis
	@touch $@
