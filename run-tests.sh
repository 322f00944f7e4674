#!/bin/bash
# Runs all tests: lints, host unit tests, fuzzers for a short fixed time, and the integration tests under QEMU and Bochs.
# Here: options and missing tools; the rest is tools/run_tests.py. Its last line is `N passed, N failed`; status 0 only if
# something passed and nothing failed, 125 when the tests could not be run.
set -u -o pipefail

VERGE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 125
ME=run-tests
ASSUME_YES=0
# shellcheck source=tools/sh-common.sh
. "$VERGE_ROOT/tools/sh-common.sh" || exit 125

usage() {
    cat <<'USAGE'
./run-tests.sh [--long] [--only PATTERN] [--list] [--jobs N] [--yes]

  --long           also soak runs, longer fuzzing, and the scripts in a minimal Debian root
  --only PATTERN   tests whose name holds PATTERN (* and ? allowed), such as unit/test_i8254 or 'integration/*boot*'
  --list           names of all tests, without running any
  --jobs N         tests side by side (default: the number of processors, at most 4)
  --yes            install missing tools without asking
USAGE
}

arguments=() purposes=(qemu bochs run build image uefi efi test)
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --yes) ASSUME_YES=1 ;;
    --long) arguments+=("$1"); purposes+=(long) ;;
    --list) arguments+=("$1") ;;
    --only | --jobs)
        if [ $# -lt 2 ] || [ -z "$2" ]; then die "$1 needs a value; see --help"; fi
        arguments+=("$1=$2")
        shift
        ;;
    *) die "unknown option $1; see --help" ;;
    esac
    shift
done

need_tools "${purposes[@]}"
python=$(find_python pytest pexpect) || die "no python3 with pytest and pexpect"
cd "$VERGE_ROOT" || exit 125
exec "$python" -B tools/run_tests.py "${arguments[@]}"
