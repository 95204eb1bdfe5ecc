"""Decoupling: which filters of a network belong to which class, and the whole put together again.

Chen & Qin decouple a trained network by measuring how strongly each filter answers to each class
(`preference`), giving each class its share of every layer (`assignment`), and cutting what connects
filters of different classes. What is left behind the cut is one branch a class. `recalibration`
gives each filter back the mean and the deviation that it had. A `plan` says what was decided and
holds the weights; `recomposition` averages what devices made of their branches.

Everything here is NumPy: the Keras model is cut and run by `tfplus_export.decoupling`.
"""
