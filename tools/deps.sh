#!/usr/bin/env bash
# Install what is missing, by Debian package name.  tools/deps.sh GROUP...  (build, ui, test, slow, bench)
# Does nothing, fast and without root, when everything is there already.
set -euo pipefail

packages_build="build-essential gcc make cmake ninja-build pkg-config ccache libuv1-dev libssl-dev libsodium-dev
 libjansson-dev libwslay-dev libcurl4-openssl-dev libsqlite3-dev"
packages_ui=""
packages_test="libcmocka-dev clang clang-tidy libclang-rt-14-dev libasan8 libubsan1 python3 python3-yaml nginx-light
 chromium curl openssl sqlite3 fonts-dejavu-core clickhouse-server clickhouse-client prometheus mosquitto
 mosquitto-clients python3-paho-mqtt"
packages_slow="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
packages_bench="python3-flask python3-waitress wrk python3-torch libopenblas0-openmp"

wanted=""
for group in "$@"; do
    case "$group" in
    build) wanted+=" $packages_build" ;;
    ui) wanted+=" $packages_ui" ;;
    test) wanted+=" $packages_test" ;;
    slow) wanted+=" $packages_slow" ;;
    bench) wanted+=" $packages_bench" ;;
    *) echo "tools/deps.sh: no package group '$group' (build, ui, test, slow, bench)" >&2; exit 2 ;;
    esac
done

missing=""
for package in $wanted; do
    # Any provider of the name will do: nginx-full is as good as nginx-light.
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=" $package"
done
if [ -n "$missing" ]; then
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "tools/deps.sh: these packages are missing and there is no sudo to install them:$missing" >&2
            exit 1
        }
        as_root="sudo"
    fi
    echo "tools/deps.sh: installing$missing" >&2
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
    # The tests start the servers they need, each in a folder of its own: installing starts none.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap '$as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | $as_root tee /usr/sbin/policy-rc.d >/dev/null
        $as_root chmod 755 /usr/sbin/policy-rc.d
    fi
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2
fi

case " $* " in
*" ui "* | *" test "*)
    node_major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p')
    if [ -z "$node_major" ] || [ "$node_major" -lt 20 ]; then
        echo "tools/deps.sh: Node 20 or newer is needed for the front end (found: ${node_major:-none})" >&2
        exit 1
    fi
    ;;
esac
