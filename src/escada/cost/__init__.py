"""FLOPs, memory, hours and money: planner and meter share one arithmetic."""
