"""An export as a function, what it would cost, and what keeps a model from it.

`api.export` runs the stages in `stages/`, in the order in which `driver.run` lists them.
"""
