"""Decode a radiograph's file (JPEG, PNG, DICOM) to gray pixels. Loads neither torch nor DALI."""
