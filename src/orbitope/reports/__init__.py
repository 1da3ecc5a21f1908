"""Pictures and the page of a report, from plain data."""
