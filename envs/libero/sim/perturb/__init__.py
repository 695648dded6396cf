"""Scene axes of perturbation in LIBERO: what each changes in a built task, and how the change is undone."""
