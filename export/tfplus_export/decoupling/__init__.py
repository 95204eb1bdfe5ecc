"""Decoupling a Keras model: its tail is found, measured, cut into branches and recalibrated.

`structure` finds the layers that are cut, `activations` streams data through them, `branches`
builds the decoupled model, `recalibrate` puts each filter's mean and deviation back, `submodel`
cuts the model of some classes out of it; `decouple` runs all of it. What needs no Keras is
`tfplus.decoupling`.
"""
