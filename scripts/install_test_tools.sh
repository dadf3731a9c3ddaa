#!/bin/sh
# Install what some tests need beside Python (Chromium, PostgreSQL, Java), where that takes no
# question: as root on a system with apt-get. Never fails: without a tool its tests are skipped, and
# say why.
set -u

install() {
    apt_get() { env DEBIAN_FRONTEND=noninteractive timeout 300 apt-get "$@" >/dev/null 2>&1; }
    echo "installing for the tests: $*"
    # Package lists that are there may be fresh enough.
    apt_get install -qq -y --no-install-recommends "$@" ||
        { apt_get update -qq && apt_get install -qq -y --no-install-recommends "$@"; } ||
        echo "not installed: the tests that need it are skipped"
}

has_any() {
    for name in "$@"; do
        command -v "$name" >/dev/null 2>&1 && return 0
    done
    return 1
}

[ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1 || exit 0
has_any chromium chromium-browser google-chrome || install chromium fonts-dejavu-core
has_any java || install default-jre-headless
# Where there are services, the package would start one.
has_any initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || [ -d /run/systemd/system ] ||
    install postgresql
exit 0
