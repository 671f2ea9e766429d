#!/bin/sh
# Every long proof, one after the other; ends with 1 if any failed.  Some need root, to
# mount file systems, and say so; PROOFS names a choice of them.
cd "$(dirname "$0")/../.." || exit 1
python=${PYTHON:-.venv/bin/python}
failed=
proof() {
    echo "== $*"
    "$python" -m "tests.prove.$@" || failed="$failed $1"
}
for name in ${PROOFS:-race readers verifying_readers createrepo_readers slow_clients database_away disk_full powercut crashes kills box}; do
    case $name in
    race)
        proof race
        proof race --database postgresql
        ;;
    # BOX_NAMES: a list of real projects, see tests/prove/box.py.
    box) proof box --curve --projects "${BOX_PROJECTS:-20000}" ${BOX_NAMES:+--names "$BOX_NAMES"} ;;
    *) proof "$name" ;;
    esac
done
[ -z "$failed" ] && exit 0
echo "FAILED:$failed"
exit 1
