"""The subcommands of `birdwatchd-train`, one file each. What is heavy is imported inside their functions."""
