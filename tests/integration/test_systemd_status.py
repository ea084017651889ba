"""The service under a real systemd, asked how it does: by its user, its group, strangers, and the journal's priorities."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.integration import test_systemd
from tests.integration.nspawn import needs_nspawn
from tests.integration.test_systemd import write
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from tests.integration.nspawn import Machine

machine = test_systemd.machine
COMMAND = "/usr/local/bin/birdwatchd"
MORE = "metrics:\n  port: 9464\nstore:\n  retention:\n    free_gigabytes: 0\n"


def as_user(machine: Machine, user: str, *words: str, groups: str = "") -> tuple[str, str]:
    """What a command of that user says, and its exit status."""
    who = ["setpriv", "--reuid", user, "--regid", user if user != "nobody" else "nogroup"]
    belongs = ["--groups", groups] if groups else ["--clear-groups"]
    script = f'{" ".join([*who, *belongs, COMMAND, *words])} 2>&1; echo "status $?"'
    said = machine.run("sh", "-c", script, seconds=120)
    text, _, status = said.rpartition("status ")
    return text, status.strip()


@needs_nspawn
@pytest.mark.long
def test_the_service_tells_those_who_may_know(machine: Machine) -> None:
    write(machine, "etc/birdwatchd/config.yaml", test_systemd.CONFIG + MORE)
    machine.boot()
    refused = as_user(machine, "birdwatchd", "status")
    assert "birdwatchd: no daemon runs with the database /var/lib/birdwatchd/birdwatchd.sqlite" in refused[0]
    assert refused[1] == "2"
    machine.run("systemctl", "start", "birdwatchd", seconds=120)
    wait_until(lambda: "delivery failed" in machine.log(), "nobody takes its deliveries", seconds=60)

    text, status = as_user(machine, "birdwatchd", "status", "--json")
    said = json.loads(text)
    assert (said["faults"], status) == ([], "1")
    (warning,) = said["warnings"]
    assert warning.startswith("nobody: ")
    assert said["sources"][0]["state"] == "listening"
    assert said["process"]["memory_bytes"] > 10e6
    folder = machine.run("sh", "-c", "stat -c '%a %U:%G' /run/birdwatchd /run/birdwatchd/*.sock").split("\n")
    assert folder[:2] == ["750 birdwatchd:birdwatchd", "660 birdwatchd:birdwatchd"]
    # Those of its group may ask, strangers may not.
    assert as_user(machine, "nobody", "status", groups="birdwatchd")[1] == "1"
    assert "wood: something is wrong" in as_user(machine, "nobody", "status", groups="birdwatchd")[0]
    stranger = as_user(machine, "nobody", "status")
    assert "this user may not ask it" in stranger[0], stranger
    assert stranger[1] == "1"

    answer = machine.run("curl", "-s", "http://127.0.0.1:9464/healthz")
    assert json.loads(answer)["status"] == "well"
    live, status = as_user(machine, "birdwatchd", "check", "--live")
    assert "ok    garden: listening, as the daemon says" in live
    assert "ok    database: /var/lib/birdwatchd can be written" in live
    assert "WRONG nobody: 127.0.0.1:9 cannot be reached: Connection refused" in live
    assert status == "1"

    # systemd reads the priority of each line.
    warnings = machine.run("journalctl", "--no-pager", "-o", "cat", "-p", "warning", "-u", "birdwatchd")
    assert '"event": "delivery failed, it is tried again"' in warnings
    assert '"event": "listening"' not in warnings
    assert '{"timestamp"' in machine.log()
    assert "<6>" not in machine.log()

    machine.run("systemctl", "stop", "birdwatchd", seconds=100)
    assert machine.run("sh", "-c", "ls /run | grep -c birdwatchd || true").strip() == "0"
