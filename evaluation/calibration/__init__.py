"""Calibration: intercept, slope, reliability curve and Brier score with intervals; recalibration by a temperature."""
