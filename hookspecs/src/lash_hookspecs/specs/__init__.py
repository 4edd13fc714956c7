"""Hook specifications, one file per subject."""
