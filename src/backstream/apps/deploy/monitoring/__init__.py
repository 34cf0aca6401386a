"""The alarms and the dashboard of a deployment."""
