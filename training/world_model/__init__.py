"""Action-conditioned prediction of what an image will look like, in the latent space of a frozen encoder."""
