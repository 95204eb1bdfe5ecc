"""The one meaning of data: how samples are stored, what becomes of their values, whether they fit.

For the device as for the export. `formats` opens samples, however they are stored, and `store`
keeps those that come and go; `device_data`, `inputs` and `targets` check them against a model and
cut them into batches, in the `order` of an epoch. `scaling` is what a user says of the data, beside
what a file declares (`model_file.preprocessing`); `spread` measures values, `fit` compares them
with what is declared, and `guessing` says what the first loss of a training may be.
"""
