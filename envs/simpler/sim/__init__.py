"""SimplerEnv on SAPIEN: environment, scene, robot, controllers, contact solver settings, rendering."""
