"""Hearing: sources, rings, clocks, windows, and the ledger of every second."""
