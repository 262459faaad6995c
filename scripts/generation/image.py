"""Writes the image of our protos that buf reads, with comments: `… image.py PATH`."""

import sys
from pathlib import Path

from scripts.generation.protoc import write_descriptors

if __name__ == "__main__":
    write_descriptors(Path(sys.argv[1]), source_info=True)
