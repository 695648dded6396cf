"""LIBERO on hf-libero, robosuite and MuJoCo."""
