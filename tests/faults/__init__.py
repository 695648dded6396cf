"""Faults on order: seeded, reproducible, and a judge that says after each whether the promise held (docs/evidence/faults.md)."""
