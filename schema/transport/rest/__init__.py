"""The CareHQ-compatible API: signed requests with parameters in forms, answered as documents."""
