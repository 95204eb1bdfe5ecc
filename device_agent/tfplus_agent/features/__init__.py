"""A device's side of FedEx: labels in the feature cache, what is sent of it, what is fetched."""
