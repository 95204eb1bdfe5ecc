"""One CNN trained across several devices, tile by tile, without a server.

The feature maps of a network's first layers are cut on a grid, and each device computes one tile of
each. Consecutive layers form a group: a device fetches the input of its tile of the group's last
map, with the halo that the windows of all its layers reach, and computes the group alone, what
overlaps with its neighbours' once more. Between groups halos cross the network. Backward, the
gradient of a tile's input is added up at the owners of its pixels, and the gradients of weights are
summed over all devices once a batch. That is the untiled step, but for the order of sums.

After Rama, Threadgill and Gerstlauer, Distributed Convolutional Neural Network Training on Mobile
and Edge Clusters, arXiv 2409.09083. Nothing here opens a socket or a file or imports TensorFlow:

- `layers`: what is known of a network; `graph`: which maps layers read, and where groups can end.
- `geometry`: intervals and windows; `group`: what a device computes of a group; `grid`: tiles.
- `exchange`: which rectangle goes from whom to whom.
- `step`: a device's part of a step, events in and messages out; the sums over all devices.
- `planning`: what a plan takes, and the best one; `calibration`: measured speeds instead of assumed
  ones.
- `transport`: the same messages over gRPC, a process that computes, and who leads it.
"""
