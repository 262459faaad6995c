"""Prints Envoy's configuration for the environment that `CROUPIER_EDGE_…` describes."""

import sys

from scripts.mesh.edge import EdgeSettings, render

if __name__ == "__main__":
    # What is required comes from the environment, which mypy does not see.
    sys.stdout.write(render(EdgeSettings()))  # type: ignore[call-arg]
