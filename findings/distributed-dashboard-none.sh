#!/usr/bin/env bash
# distributed 2026.8.0: LocalCluster(dashboard_address=None) still opens an HTTP server, on port 8787.
#
# The docstring says of dashboard_address: "Set to None to disable the dashboard". The pages of the dashboard are left
# out, but the scheduler's HTTP server (/health, /info, /metrics) starts all the same, at the dashboard's usual port.
# Two clusters on one machine therefore clash although neither wants a dashboard: the second warns that port 8787 is in
# use and takes another. Asking for 127.0.0.1:0 avoids that.
#
# Expected: no server, or a docstring that says there is one.
#
# Output:
#     dashboard_address=None: the server's port is 8787, /health answers "ok"
#     second cluster: Port 8787 is already in use.
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet distributed==2026.8.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

cat >look.py <<'END'
import urllib.request
import warnings

from distributed import LocalCluster


def cluster() -> LocalCluster:
    return LocalCluster(n_workers=0, dashboard_address=None)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # should something else have the port already
        first = cluster()
    with first:
        port = first.scheduler.services["dashboard"].port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            health = answer.read().decode()
        print(f'dashboard_address=None: the server\'s port is {port}, /health answers "{health}"')
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with cluster():
                pass
    said = [str(w.message).splitlines()[0] for w in caught if "in use" in str(w.message)]
    print(f"second cluster: {said[0] if said else 'no warning'}")
    raise SystemExit(not (health == "ok" and said))
END
venv/bin/python -I look.py
