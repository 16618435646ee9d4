"""The command line of the program and of studies: help, mistakes, Hydra, signals, exit code."""
