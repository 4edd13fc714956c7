"""The turn machine: pure code, no I/O, no clock, no random."""
