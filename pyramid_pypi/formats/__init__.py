"""Documents as pure functions of values: no database, no request, no clock."""
