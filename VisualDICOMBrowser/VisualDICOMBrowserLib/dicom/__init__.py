"""What network and store both need to know about the encoding of DICOM values (PS3.5). Imports domain only."""
