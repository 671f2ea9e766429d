"""From an uploaded body to a recorded file, in small named steps."""
