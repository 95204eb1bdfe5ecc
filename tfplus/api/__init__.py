"""What `import tfplus` offers: a model in Keras' words, the export, an agent.

A thin shell around `tfplus.training`, `tfplus.runtime` and `tfplus.fleet`: it turns arrays into
data sets and what comes back into what a notebook shows. `tfplus/__init__.py` names what is public.
"""
