#!/usr/bin/env bash
# The page in Debian's Chromium against the real server: a demo cafe on a port of its own, driven by ui/e2e.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec node --test --test-concurrency=1 tests/browser/
