"""LIBERO on MuJoCo and robosuite: environment, scene, controller, rendering, checks of a scene."""
