"""Publishing: a folder for a model hub, with weights, preprocessing and a model card; no patient is named in it."""
