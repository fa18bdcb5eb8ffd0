"""How a process lives: settings, processes, background tasks, metrics, logs, routes."""
