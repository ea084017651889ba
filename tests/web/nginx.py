"""A real reverse proxy: nginx with TLS, which shows a station's page below a prefix."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from tests.integration.waiting import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
CONFIG = """\
pid nginx.pid;
error_log error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate cert.pem;
    ssl_certificate_key key.pem;
    location /birds/ {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_buffering off;
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[str]:
    """Shows what is at `upstream`; gives the address, with the prefix `/birds`."""
    assert NGINX is not None
    folder.mkdir()
    request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(["openssl", *request.split()], cwd=folder, check=True, capture_output=True)
    port = free_port()
    (folder / "nginx.conf").write_text(CONFIG.format(port=port, upstream=upstream))
    url = f"https://localhost:{port}/birds"
    process = subprocess.Popen(
        [
            NGINX,
            "-p",
            str(folder),
            "-c",
            "nginx.conf",
            "-e",
            "stderr",
            "-g",
            "daemon off; master_process off;",
        ]
    )

    def answers() -> bool:
        assert process.poll() is None, "nginx ended"
        try:
            return httpx.get(f"{url}/static/style.css", verify=False).status_code == 200  # noqa: S501 - our own certificate
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, "nginx")
        yield url
    finally:
        process.terminate()
        process.wait()
