"""The API below /api/v1: each module of this package has a `router`, and is found by that."""
