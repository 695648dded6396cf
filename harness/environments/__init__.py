"""Suites as gymnasium environments and through lerobot's environment interface, for training loops of others."""
