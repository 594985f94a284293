#!/usr/bin/env bash
# Runs the simulations of TURN and SCTP over many seeds, or replays one.
#
#   scripts/sim.sh [--release] [--room turn|sctp] (--seeds N | --seed N)
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/runner.sh

profile=()
rooms=(turn sctp)
while [ $# -gt 0 ]; do
    case "$1" in
        --release) profile=(--release) && shift ;;
        --room) rooms=("$2") && shift 2 ;;
        --seeds) export TURNPIKE_SIM_SEEDS=$2 && shift 2 ;;
        --seed) export TURNPIKE_SIM_SEED=$2 && shift 2 ;;
        *) echo "sim: unknown option $1" >&2 && exit 2 ;;
    esac
done

run_tests "${profile[@]}" "${rooms[@]/#/--package=turnpike-}" --test simulation
