"""scripts/setup: what it installs for the tests is not started on the machine of whoever develops."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.integration.nspawn import PATH, SOURCE, Machine, needs_nspawn

if TYPE_CHECKING:
    from pathlib import Path

UNIT = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
APT = """\
#!/bin/sh
case "$*" in
    *install*)
        "/usr/sbin/policy-rc.d" mosquitto start
        echo "policy $?" >>/said
        cp /usr/sbin/policy-rc.d /kept
        systemctl enable mosquitto nginx
        [ ! -e /fails ] ;;
esac
"""
"""Named a fake: what Debian's packages do when they are installed."""


@needs_nspawn
@pytest.mark.parametrize("fails", [False, True])
def test_services_that_come_with_packages_are_not_started(tmp_path: Path, *, fails: bool) -> None:
    setup = (SOURCE / "scripts/setup").read_text()
    begin, end = setup.index("apt_install() {"), setup.index("mapfile -t packages")
    with Machine(tmp_path) as machine:
        policy = machine.root / "usr/sbin/policy-rc.d"
        policy.unlink(missing_ok=True)
        apt = machine.root / "usr/local/bin/apt-get"
        apt.write_text(APT)
        apt.chmod(0o755)
        for name in ("mosquitto", "nginx"):
            (machine.root / f"etc/systemd/system/{name}.service").write_text(UNIT)
        if fails:
            (machine.root / "fails").touch()
        (machine.root / "install").write_text(
            f"set -euo pipefail\nsay() {{ :; }}\n{setup[begin:end]}\napt_install mosquitto nginx-light\n"
        )
        enter = ["chroot", str(machine.root), "bash", "/install"]
        done = subprocess.run(enter, env={"PATH": PATH}, check=False, timeout=180)
        assert done.returncode == fails
        assert (machine.root / "said").read_text() == "policy 101\n"
        assert not policy.exists()
        wanted = machine.root / "etc/systemd/system/multi-user.target.wants"
        if not fails:
            assert not [name for name in ("mosquitto", "nginx") if (wanted / f"{name}.service").is_symlink()]
        # One that a setup left behind when it was killed is replaced, and stops nobody who got its number since.
        ours = (machine.root / "kept").read_text()
        left = re.sub(r"(kill -0 |/proc/)\d+", rf"\g<1>{os.getpid()}", ours)
        policy.write_text(left)
        assert subprocess.run(["sh", str(policy)], check=False).returncode == 0
        subprocess.run(enter, env={"PATH": PATH}, check=False, timeout=180)
        assert (machine.root / "said").read_text() == "policy 101\n" * 2
        assert not policy.exists()
        # A policy of the machine's own stays as it is.
        policy.write_text("#!/bin/sh\nexit 104\n")
        policy.chmod(0o755)
        subprocess.run(enter, env={"PATH": PATH}, check=False, timeout=180)
        assert (machine.root / "said").read_text().splitlines()[2:] == ["policy 104"]
        assert policy.read_text() == "#!/bin/sh\nexit 104\n"
