"""Pages and figures: one look for all reports."""
