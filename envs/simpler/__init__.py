"""SimplerEnv: its Google-Robot tasks, visual matching and variant aggregation, on SAPIEN 3."""

import warnings

# SAPIEN has its own Vulkan loader and warns at every import on systems without one.
warnings.filterwarnings("ignore", message="Failed to find system libvulkan", category=UserWarning)
