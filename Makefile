# `make demo` shows a synchronisation, `make test` runs every test. They need Python 3.10 or newer, a Rust toolchain and
# make; what they make is in this checkout (.venv, target, .cache). Repeating them is quick.

PYTHON ?= python3
WAN ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin

export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PIP_CACHE_DIR ?= $(CURDIR)/.cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport CONDA_PREFIX PYTHONHOME PYTHONPATH

# In an empty HOME the launchers of rustup do not find their toolchains. These are beside the real binary.
ifndef RUSTUP_HOME
  ifeq ($(wildcard $(HOME)/.rustup/toolchains),)
    CARGO_ROOT := $(abspath $(dir $(realpath $(shell command -v cargo)))..)
    FOUND_RUSTUP := $(firstword $(wildcard $(CARGO_ROOT)/../.rustup $(CARGO_ROOT)/../rustup))
    ifneq ($(FOUND_RUSTUP),)
      export RUSTUP_HOME := $(abspath $(FOUND_RUSTUP))
      ifndef CARGO_HOME
        ifeq ($(shell test -w "$(CARGO_ROOT)" && echo yes),yes)
          export CARGO_HOME := $(CARGO_ROOT)
        endif
      endif
    endif
  endif
endif

CARGO_DENY := .cache/cargo-deny/bin/cargo-deny
ADVISORIES := https://github.com/RustSec/advisory-db
export GIT_TERMINAL_PROMPT := 0

RUST_SOURCES := $(wildcard Cargo.toml Cargo.lock) $(shell find src -name '*.rs')

.PHONY: help build demo test chaos fuzz check bench clean need-cargo

help: ## show this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1: /p' $(firstword $(MAKEFILE_LIST))

build: $(VENV)/build.stamp ## environment and extension module, in .venv
	@$(BIN)/python -m compileall -q python/ftpsync

demo: build ## a synchronisation with a conflict, against a server inside the process
	@$(BIN)/python -m ftpsync demo

test: build ## every test of the core and of the Python face
	cargo test --quiet
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile $(if $(CI),,--quiet)

chaos: build ## everything that may go wrong, at every step; takes an hour
	FTPSYNC_THOROUGH=1 cargo test --quiet -- every_command simulation
	FTPSYNC_THOROUGH=1 $(BIN)/python -m pytest --quiet tests/python/test_killed.py tests/python/test_rough_disks.py tests/python/test_chaos.py

fuzz: ## bytes that nobody would send, for everything that reads bytes of others; takes some minutes
	FTPSYNC_THOROUGH=1 cargo test --quiet -- fuzzing

check: build $(CARGO_DENY) ## formatting, lints, types, and the crates that are used
	cargo fmt --check
	cargo clippy --quiet --all-targets --all-features -- -D warnings
	cargo clippy --quiet --no-default-features --lib -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m mypy --strict python/
	$(BIN)/python -m mypy.stubtest ftpsync._core
	$(CARGO_DENY) --log-level error check bans licenses sources
	@if timeout 20 git ls-remote --quiet $(ADVISORIES) HEAD >/dev/null 2>&1; \
	  then $(CARGO_DENY) --log-level error check advisories; \
	  else echo "Advisories were not looked at: $(ADVISORIES) cannot be reached."; fi

bench: build ## the benchmark: WAN=folder of wan.sh, which emulates a long line, ARGS=more options
	$(BIN)/python benches/bench.py $(if $(WAN),--wan $(WAN)) $(ARGS)

clean: ## remove everything that the other targets made
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis target dist
	rm -f python/ftpsync/_core*.so python/ftpsync/_core*.pyd
	find python tests benches -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# --- How the environment comes about -----------------------------------------------------------------------------------

need-cargo:
	@cargo --version >/dev/null || { echo "Rust is needed: see https://rustup.rs"; exit 1; }

$(BIN)/maturin: | need-cargo
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "Python 3.10 or newer is needed: make PYTHON=/path/to/python3 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'maturin>=1.9.4,<2'

# Some three minutes, once.
$(CARGO_DENY): | need-cargo
	cargo install --quiet --locked --root .cache/cargo-deny cargo-deny@0.20.2

# Dependencies, tools and an editable installation; again when pyproject.toml changes.
$(VENV)/install.stamp: pyproject.toml | $(BIN)/maturin
	$(BIN)/maturin develop --profile fast --extras test,dev,color,keyring
	@touch $@

# Only the extension module; again when the Rust sources change.
$(VENV)/build.stamp: $(VENV)/install.stamp $(RUST_SOURCES)
	$(BIN)/maturin develop --quiet --profile fast --skip-install
	@touch $@
