"""`tfplus doctor`: what works on this device, tried and compared."""
