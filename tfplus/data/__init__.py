"""The one meaning of data: how samples are stored, what becomes of their values, whether they fit.

For the device as for the export, in NumPy alone. `npy` opens arrays whose headers are checked
first, `device_data` and `targets` check them against a model and cut them into batches. `scaling`
is what a user says of the data, beside what a file declares (`model_file.preprocessing`); `spread`
measures values, `fit` compares them with what is declared, and `guessing` says what the first loss
of a training may be.
"""
