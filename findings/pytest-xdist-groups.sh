#!/usr/bin/env bash
# pytest-xdist 3.8.0 with pytest 9.2.0: tests of one group are spread over the workers.
#
# `--dist loadgroup` sends all tests marked with one `xdist_group` to one worker, so that what they share is made once.
# pytest-xdist marks them in the private attribute `_nodeid` of each test, which pytest 9.2 no longer reads. Nothing is
# said; suites with costly module fixtures make them once per worker and become slower.
#
# Expected: each group in one process, as with pytest 9.1.1.
#
# Output:
#     pytest 9.1.1: processes per group: a 1, b 1
#     pytest 9.2.0: processes per group: a 2, b 2
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for version in 9.1.1 9.2.0; do
    if ! { python3 -m venv "venv-$version" &&
        "venv-$version/bin/python" -m pip install --quiet "pytest==$version" pytest-xdist==3.8.0; } >install.log 2>&1; then
        cat install.log >&2
        exit 2
    fi
done

for group in a b; do
    cat >"test_$group.py" <<END
import os
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("$group")


@pytest.mark.parametrize("k", range(20))
def test_where(k):
    time.sleep(0.02)
    with Path(os.environ["SEEN"]).open("a") as file:
        file.write(f"$group {os.getpid()}\n")
END
done

expected=$(printf '%s\n' "pytest 9.1.1: processes per group: a 1, b 1" "pytest 9.2.0: processes per group: a 2, b 2")
seen=$(
    for version in 9.1.1 9.2.0; do
        SEEN="$work/seen-$version" "venv-$version/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup >/dev/null
        count() { sort -u "seen-$version" | grep -c "^$1 "; }
        echo "pytest $version: processes per group: a $(count a), b $(count b)"
    done
)
echo "$seen"
[ "$seen" = "$expected" ]
