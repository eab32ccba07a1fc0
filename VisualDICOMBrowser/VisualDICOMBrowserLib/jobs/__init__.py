"""Jobs: states, retries and scheduling. Knows nothing of DICOM networks or files."""
