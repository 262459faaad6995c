"""What every server needs, one job a module, no business words."""
