"""CareHQ documents in and out."""
