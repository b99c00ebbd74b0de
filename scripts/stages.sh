# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts beside it: work in named, timed stages; the first that fails ends the script.
# JOBS says how many compilers and tests run at once.

jobs=${JOBS:-$(nproc)}
stages_passed=0

# run_stage NAME COMMAND...: the command's output goes through; a failure names the stage and its command.
run_stage() {
  local name=$1 began=$SECONDS status
  shift
  printf '\n== %s\n' "$name"
  set +e
  (set -euo pipefail; "$@")  # not in a condition: that would switch `set -e` off inside
  status=$?
  set -e
  if ((status != 0)); then
    printf '\n== FAILED: %s: "%s" ended with %d after %d s\n' "$name" "$*" "$status" $((SECONDS - began))
    printf '%d passed, 1 failed\n' "$stages_passed"
    exit 1
  fi
  stages_passed=$((stages_passed + 1))
  printf '== passed in %d s: %s\n' $((SECONDS - began)) "$name"
}

# build PRESET [CONFIGURE_OPTION...] [-- TARGET...]: configures and builds in build/PRESET.
build() {
  local preset=$1 options=() targets=() quiet=()
  shift
  while (($#)) && [[ $1 != -- ]]; do options+=("$1"); shift; done
  if (($#)); then shift; targets=(--target "$@"); fi
  if [[ ! -t 1 ]]; then quiet=(-- --quiet); fi
  mkdir -p build
  if ! cmake --preset "$preset" "${options[@]}" >"build/$preset.log" 2>&1; then
    cat "build/$preset.log"
    return 1
  fi
  cmake --build --preset "$preset" -j "$jobs" "${targets[@]}" "${quiet[@]}"
}
