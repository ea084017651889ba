"""An RTSP server for one sound file, and a test picture at /video; runs under the system's Python, which has GStreamer. Arguments: port, file."""

from __future__ import annotations

import sys

import gi  # type: ignore[import-not-found]  # the system's Python has it

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402 - after the versions

port, path = sys.argv[1:]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f"( filesrc location={path} ! wavparse ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=1 "
    "! rtpL16pay name=pay0 )"
)
server.get_mount_points().add_factory("/birds", factory)
video = GstRtspServer.RTSPMediaFactory()
video.set_launch(
    "( videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=10/1 ! jpegenc "
    "! rtpjpegpay name=pay0 )"
)
server.get_mount_points().add_factory("/video", video)
server.attach(None)
GLib.MainLoop().run()
