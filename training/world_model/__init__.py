"""Action-conditioned prediction of what a picture will look like, in the latent space of a frozen encoder."""
