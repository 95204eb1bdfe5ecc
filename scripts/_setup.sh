# Shared by the scripts beside it: finds a Python and keeps virtual environments up to date.
# Sourced from the root of the clone with `set -euo pipefail`; prints on standard error only.

say() { printf '%s\n' "$*" >&2; }

# Whether $1 is a Python of version 3.MIN to 3.MAX that can make virtual environments.
usable_python() {
  "$1" -c "import sys, venv, ensurepip; sys.exit(not ((3, $2) <= sys.version_info[:2] <= (3, $3)))" \
    >/dev/null 2>&1
}

# Prints the Python to use, at most 3.$1. PYTHON in the environment has the last word.
# 3.11 comes first: it is the newest that tflite-runtime, the older runtime, has wheels for.
find_python() {
  local max=${1:-13} candidate
  if [ -n "${PYTHON:-}" ]; then
    usable_python "$PYTHON" 10 "$max" && command -v "$PYTHON" && return
    return 1
  fi
  for candidate in python3.11 python3.12 python3.13 python3.10 python3; do
    if usable_python "$candidate" 10 "$max"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

require_python() {
  find_python && return
  say "error: no Python 3.10 to 3.13 with the venv module was found${PYTHON:+ (PYTHON=$PYTHON)}."
  say "       On Debian or Ubuntu: apt-get install python3 python3-venv; or set PYTHON=/path/to/python3."
  return 1
}

# Shows what pip downloads, and nothing else that it says on standard output.
pip_progress() {
  awk '/^ *Downloading / && !/metadata/ { print "  " $2, $3, $4; fflush() }
       /^Installing collected/ { print "  installing"; fflush() }' >&2
}

# ensure_venv DIR PYTHON EXTRA CONSTRAINTS...
# Makes DIR hold this clone, editable, with EXTRA, at the versions that CONSTRAINTS name. Does
# nothing when it does already. Two callers at once wait for each other.
ensure_venv() {
  local dir=$1 python=$2 extra=$3 constraints=$4 lock=$1.lock stamp want fresh
  stamp=$dir/.tfplus-$extra
  want=$(
    {
      cat pyproject.toml "$constraints" scripts/_setup.sh
      "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
      pwd -P
    } | sha256sum
  )
  # The lock goes when its file descriptor is closed, also if this process is killed.
  exec 9>"$lock"
  if command -v flock >/dev/null; then
    flock -n 9 || { say "waiting for another installation in $dir"; flock 9; }
  fi
  if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    fresh=$("$python" -c 'import sys; print(sys.version, sys.base_prefix)')
    if [ "$("$dir/bin/python" -c 'import sys; print(sys.version, sys.base_prefix)' 2>/dev/null)" != "$fresh" ]; then
      say "making $dir with $("$python" --version)"
      "$python" -m venv --clear "$dir"
    fi
    rm -f "$dir"/.tfplus-*
    say "installing tfplus[$extra] into $dir (the first time takes a few minutes)"
    "$dir/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
      -c "$constraints" hatchling editables | pip_progress
    "$dir/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
      --no-build-isolation -c "$constraints" -e ".[$extra]" | pip_progress
    printf '%s\n' "$want" >"$stamp"
  fi
  exec 9>&-
}

# Has the kernel run arm64 programs under qemu-user; it forgets when it restarts.
register_arm64() {
  local binfmt=/proc/sys/fs/binfmt_misc
  if [ ! -e $binfmt/status ]; then mount -t binfmt_misc binfmt_misc $binfmt; fi
  if [ ! -e $binfmt/qemu-aarch64 ]; then
    cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register
  fi
}
