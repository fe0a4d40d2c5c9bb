"""TAP-Vid: point tracking."""
