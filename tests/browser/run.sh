#!/usr/bin/env bash
# The page in Debian's Chromium against the real server (see run.mjs).
set -euo pipefail
cd "$(dirname "$0")/../.."
exec node tests/browser/run.mjs "$@"
