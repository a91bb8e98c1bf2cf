#!/usr/bin/env bash
# The other compiler builds everything without a warning, and the boards' rooms build for a 32-bit target.
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake -S . -B build/clang -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DAUTOMAT_TESTS=OFF >/dev/null
cmake --build build/clang -j "$(nproc)"
warnings="-std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
 -Wswitch-enum -Wundef -Werror"
count=0
for file in $(find src/base src/machine src/wire src/device -name '*.c'); do
    # shellcheck disable=SC2086
    clang --target=riscv32-unknown-elf -march=rv32imc -ffreestanding -nostdlib $warnings -Isrc -c "$file" -o /dev/null
    count=$((count + 1))
done
[ "$count" -gt 0 ]
echo "$count files built for rv32imc"
