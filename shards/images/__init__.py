"""A radiograph file's bytes (JPEG, PNG, DICOM) to gray pixels. Loads neither torch nor DALI."""
