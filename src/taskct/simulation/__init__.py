"""From settings to simulated trials."""
