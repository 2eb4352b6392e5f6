"""FLOPs, memory, hours, energy and money, with the same arithmetic for planner and meter."""
