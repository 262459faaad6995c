"""The edge: Envoy's configuration from the contracts, and Envoy as a process.

settings = EdgeSettings(listen="127.0.0.1:8443", …)
path.write_text(render(settings))
subprocess.Popen(command(path))
"""

from scripts.mesh.edge.rendering import render
from scripts.mesh.edge.settings import EdgeSettings

__all__ = ["EdgeSettings", "render"]
