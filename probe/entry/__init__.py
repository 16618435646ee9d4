"""The command line of the program and of studies: help, errors, Hydra, signals, exit code."""
