# Turnpike's commands. `make run` and `make test` are the two that a person needs; both set up what
# they lack. Everything here runs the same on a laptop and in CI.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# rustup's programs, also where the login shell has not read its profile since rustup came.
export PATH := $(PATH):$(HOME)/.cargo/bin

TARGET := $(or $(CARGO_TARGET_DIR),target)
CONTROL := turnpike-types turnpike-stun turnpike-turn turnpike-sctp turnpike-datachannel turnpike-sim

.PHONY: help
help: ## say what each command does
	@echo "make COMMAND, where COMMAND is:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## build in release and run the relay on embedded defaults (ARGS="--config FILE" for your own)
	@scripts/setup.sh --run-only
	@cargo build --release -p turnpike --bin turnpike
	@exec $(TARGET)/release/turnpike run $(ARGS)

.PHONY: test
test: ## set up, then run everything: units, house rules, simulation, docs, end to end (root or sudo)
	@scripts/setup.sh
	@scripts/test.sh

.PHONY: test-kernels
test-kernels: ## see how far the XDP programs' tests come on Debian 12's own 6.1 kernel (qemu, no KVM; not all yet)
	@scripts/test-kernels.sh

.PHONY: lint
lint: ## formatting, clippy and rustdoc, all of them with warnings as errors
	@scripts/lint.sh

.PHONY: sim
sim: ## simulate 10,000 seeds (SEEDS=n for another number, SEED=n ROOM=turn|sctp to replay one)
	@scripts/sim.sh --release $(if $(ROOM),--room $(ROOM)) $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000))

.PHONY: planted
planted: ## plant each of the known bugs and see that the simulator finds it within 100 seeds
	@scripts/planted.sh turn
	@scripts/planted.sh sctp

.PHONY: fuzz
fuzz: ## grow the fuzz corpora (needs a nightly toolchain and cargo-fuzz)
	@control/fuzz/run.sh

.PHONY: bench
bench: ## measure the relay beside other relays, every row, about 25 minutes (root or sudo; ARGS="--only rate")
	@scripts/bench.sh --pace full $(ARGS)

.PHONY: bench-quick
bench-quick: ## the socket lane's marks and the fast path's rate in under 6 minutes, with shorter trials
	@scripts/bench.sh --pace quick $(ARGS)

.PHONY: bench-sctp
bench-sctp: ## measure the SCTP engine beside dcsctp, sctp-proto, usrsctp and pion: all its marks, 3 minutes
	@scripts/bench-sctp.sh $(ARGS)

.PHONY: bench-xdp
bench-xdp: ## what a packet costs in the kernel at 1,000 to 1,000,000 sessions, and what sessions cost (root or sudo)
	@scripts/bench-xdp.sh $(ARGS)

.PHONY: bench-engines
bench-engines: ## the engines' criterion benches
	@cargo bench $(addprefix -p ,$(CONTROL)) --bench '*'

.PHONY: deny
deny: ## licences, bans and sources of all dependencies (needs cargo-deny)
	@cargo deny --version >/dev/null 2>&1 \
		|| { echo "cargo-deny is missing: cargo install cargo-deny --locked"; exit 1; }
	@cargo deny check licenses bans sources

.PHONY: setup
setup: ## install what building and testing lack (apt through sudo, rustup, a Python venv)
	@scripts/setup.sh

.PHONY: clean
clean: ## remove everything built and the Python venv
	@cargo clean
	@rm -rf .venv
