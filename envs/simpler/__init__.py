"""SimplerEnv: its Google-Robot tasks, visual matching and variant aggregation, on SAPIEN 3."""

import warnings

# SAPIEN brings a Vulkan loader of its own, and says so at every import where the system has none.
warnings.filterwarnings("ignore", message="Failed to find system libvulkan", category=UserWarning)
