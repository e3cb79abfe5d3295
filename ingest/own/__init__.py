"""Readers of your own radiographs: a table with named columns, a folder of images, or a class of yours."""
