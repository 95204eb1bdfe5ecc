"""The one meaning of data: arrays that are checked against a model, then cut into batches."""
