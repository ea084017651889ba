"""The pages: each module of this package has a `router`, and is found by that."""
