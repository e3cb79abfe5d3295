#!/usr/bin/env bash
# Install what the tests need beyond Python: Slurm (tests/slurm) and a headless Chromium (report screenshots).
# Debian or Ubuntu, as root. Run again at will: it installs only what is missing, and starts no daemon.
set -euo pipefail

packages=()
need() { # need COMMAND PACKAGE...: install the packages unless the command is there
  local command=$1; shift
  PATH="$PATH:/usr/sbin" command -v "$command" >/dev/null || packages+=("$@")
}
need munged munge
need slurmctld slurmctld
need slurmd slurmd
need sbatch slurm-client
command -v chromium-browser >/dev/null || need chromium chromium fonts-dejavu-core

if [ ${#packages[@]} -eq 0 ]; then
  echo "install-test-packages: Slurm and Chromium are already here"
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "install-test-packages: needs root on Debian or Ubuntu to install: ${packages[*]}" >&2
  exit 1
fi

# A package's daemons must not start by themselves: the tests start their own, on loopback, and stop them.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi

echo "install-test-packages: apt-get update"
apt-get update -q
echo "install-test-packages: installing ${packages[*]}"
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
echo "install-test-packages: done"
