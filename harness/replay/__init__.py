"""Recorded episodes run again: comparison, verification, videos, contact sheets."""
