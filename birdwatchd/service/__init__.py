"""What a daemon needs of its system (logs, signals, systemd, a schedule), and what it tells of itself."""
