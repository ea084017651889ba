"""What a daemon needs of its system: logs, signals."""
