"""From a recorded detection to actions that were done: rules and workers."""
