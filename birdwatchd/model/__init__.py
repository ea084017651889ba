"""The classifier and its bundle: the only part of the daemon that knows torch."""
