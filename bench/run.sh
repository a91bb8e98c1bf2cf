#!/usr/bin/env bash
# make bench: build the load generators, measure, and write bench/results/spine.{json,md}.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset bench >/dev/null
cmake --build --preset bench --target bench_load bench_epoll automat -j "$(nproc)"
exec python3 bench/spine.py "$@"
