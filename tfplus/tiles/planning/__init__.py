"""Which plan of tiles is the best for some devices, and what it takes: a model, without a clock.

- `cluster`, `job`: what devices and links are taken to be; what is trained.
- `memory`, `traffic`, `cost`: what a plan takes, by device.
- `grids`: how maps may be cut, and cuts for devices of unequal speed; `choice`: the best of all.
- `written`: groups as people write them; `picture`: tiles and halos drawn.
"""
