"""One loop that trains every rung."""
