"""Frozen records: devices, models, plans, miners, calibrations, deployments. They know no catalogue."""
