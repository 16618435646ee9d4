"""What the program needs of the machine: files, disk, locks, logs, secrets, memory, progress."""
