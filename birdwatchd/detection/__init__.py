"""Deciding: gates, and the detector that makes detections out of windows."""
