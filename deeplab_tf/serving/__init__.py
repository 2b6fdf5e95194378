"""Trained networks as artefacts that need none of this package."""
