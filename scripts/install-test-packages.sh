#!/usr/bin/env bash
# Install what the tests need beyond Python: Slurm (tests/slurm), a headless Chromium (the report as a browser shows it),
# poppler (its printed sheets) and axe-core (its accessibility). Debian or Ubuntu, as root. Run again at will: it installs only what is
# missing, and starts no daemon.
set -euo pipefail

# axe-core's one file, from the wheel of a Python package that carries it, so that no npm is needed.
axe=${AXE_CORE:-/usr/local/share/axe-core/axe.min.js}
axe_wheel='axe-playwright-python==0.1.8 --hash=sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8'
install_axe() {
  [ ! -s "$axe" ] || return 0
  echo "install-test-packages: installing axe-core as $axe"
  local work
  work=$(mktemp -d)
  echo "$axe_wheel" >"$work/requirements.txt"
  "${PYTHON:-python3}" -m venv "$work/venv"
  "$work/venv/bin/pip" download --disable-pip-version-check --quiet --no-deps --require-hashes \
    --requirement "$work/requirements.txt" --dest "$work"
  "$work/venv/bin/python" -m zipfile --extract "$work"/axe_*.whl "$work/wheel"
  install -D -m 644 "$work/wheel/axe_playwright_python/axe.min.js" "$axe"
  rm -rf "$work"
}
install_axe

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
need pdftotext poppler-utils

if [ ${#packages[@]} -eq 0 ]; then
  echo "install-test-packages: Slurm, Chromium, poppler and axe-core are already here"
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
