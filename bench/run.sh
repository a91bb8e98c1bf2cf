#!/usr/bin/env bash
# make bench: build the load generators, measure, and write bench/results/*.{json,md}.
#   bench/run.sh [spine|mqtt|lm ...]     all of them without a name
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset bench >/dev/null
cmake --build --preset bench --target bench_load bench_epoll bench_mqtt bench_lm_kernel bench_lm_decode bench_lm_train\
    automat -j "$(nproc)"
for name in "${@:-spine mqtt lm}"; do
    for part in $name; do
        python3 "bench/$part.py"
    done
done
