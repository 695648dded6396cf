"""Which of two chunks is better: rewards, pairs, preference optimisation."""
