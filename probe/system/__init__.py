"""The machine: files, disk, locks, logs, secrets, device memory, progress."""
