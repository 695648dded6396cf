"""From options to a resolved run: plan, schedule, estimate, stopping rule, provenance."""
