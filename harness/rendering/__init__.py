"""Choice of a rendering backend: OpenGL for MuJoCo, Vulkan for SAPIEN."""
