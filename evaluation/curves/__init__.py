"""ROC and precision-recall curves with bootstrap bands, and the operating points of human readers."""
