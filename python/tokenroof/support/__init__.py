"""Names, formats, numbers that callers give, optional libraries, sampling: knows no subject."""
