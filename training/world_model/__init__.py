"""World model: action-conditioned prediction in the latent space of a frozen encoder."""
