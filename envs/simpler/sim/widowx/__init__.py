"""WidowX on SAPIEN 3: robot, controller, scene, settling."""
