"""One reader a challenge, as Kaggle has it: the tables of its boxes to rows of samples."""
