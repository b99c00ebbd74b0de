#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares the speed of two commits: inference, training and opening a model, each with the commit's own workers.
#
#   bench/regression.sh [OPTION...] BASE [HEAD]    HEAD against BASE; without HEAD, the working tree as it is now
#   bench/regression.sh [OPTION...] --self BASE    BASE against itself: how much results differ without any change
#
#   --quick        fewer rows and rounds: a minute instead of five to ten, on two cores
#   --rounds N     rounds of measurement (default: 15, with --quick 9; at least 7); each starts new processes
#   --realtime     measures, but doesn't build, at real-time priority, so that other programs disturb less; needs root
#   --tolerance P  percent below which a difference counts as none (default: 1, with --quick 3)
#
# Each commit is checked out as a git worktree in build/regression/HASH, the working tree's files in
# build/regression/working-tree, and built there as a release. Builds are kept and used again;
# `git worktree remove --force build/regression/HASH` deletes one. Needs Google Benchmark (scripts/setup --all).
#
# Exit code: 0 if no row is slower, 1 if a row is slower, 2 if something could not be built or measured.
set -euo pipefail
cd "$(dirname "$0")/.."

print_help() {
  sed -n '3,17s/^# \{0,1\}//p' bench/regression.sh
}

usage() {
  print_help >&2
  exit 2
}

fail() {
  echo "[regression] $1" >&2
  exit 2
}

hash_of() {  # hash_of REVISION
  git rev-parse --verify --quiet --short=12 "$1^{commit}" || fail "$1: expected a commit"
}

# The working tree, ignored files excepted, as a commit that is on no branch. The same files give the same hash.
snapshot() {
  local index tree
  index=$(mktemp)
  tree=$(
    cp "$(git rev-parse --git-path index)" "$index"
    export GIT_INDEX_FILE=$index
    git add --all && git write-tree
  )
  rm -f "$index"
  if [[ $tree == "$(git rev-parse 'HEAD^{tree}')" ]]; then
    hash_of HEAD
  else
    export GIT_{AUTHOR,COMMITTER}_NAME=regression GIT_{AUTHOR,COMMITTER}_EMAIL=regression
    export GIT_{AUTHOR,COMMITTER}_DATE="2000-01-01T00:00:00Z"
    hash_of "$(git commit-tree -m "Working tree" "$tree")"
  fi
}

build() {  # build HASH NAME: in build/regression/NAME
  local folder=build/regression/$2
  if [[ ! -e $folder/.git ]]; then
    git worktree add --quiet --force --detach "$folder" "$1"
  else
    git -C "$folder" checkout --quiet --force --detach "$1"
  fi
  (
    cd "$folder"
    # Paths that ccache sees as relative: the second commit takes from it what the first one has built.
    export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
    { [[ -e build/release/build.ninja ]] || cmake --preset release -DGCVIT_BENCH=ON >/dev/null; } &&
      cmake --build --preset release --target compare_worker opening_worker train_worker
  ) >&2 || fail "$2: the workers could not be built in $folder"
}

self=false
priority=()
commits=() options=()
while (($# > 0)); do
  case $1 in
    -h | --help) print_help; exit 0 ;;
    --self) self=true ;;
    --realtime) priority=(chrt --fifo 1) ;;
    --quick) options+=("$1") ;;
    --rounds | --tolerance)
      (($# > 1)) || usage
      options+=("$1" "$2")
      shift
      ;;
    -*) usage ;;
    *) commits+=("$1") ;;
  esac
  shift
done
if $self; then most=1; else most=2; fi
((${#commits[@]} >= 1 && ${#commits[@]} <= most)) || usage

base=$(hash_of "${commits[0]}")
if $self; then
  head=$base
elif ((${#commits[@]} == 2)); then
  head=$(hash_of "${commits[1]}")
else
  head=$(snapshot)
fi
build "$base" "$base"
name=$head
if [[ $head != "$base" ]]; then
  if ((${#commits[@]} == 1)); then name=working-tree; fi
  build "$head" "$name"
fi
exec "${priority[@]}" python3 bench/regression.py "${options[@]}" "build/regression/$base" "build/regression/$name"
