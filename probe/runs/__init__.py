"""The folder of a run: made, closed by a manifest, read again, shown, repeated."""
