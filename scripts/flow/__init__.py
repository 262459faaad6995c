"""The flow that everything serves, played through the front doors, refusals included."""
