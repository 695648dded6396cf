"""Preference data and preference optimisation: rewards, pairs, DPO."""
