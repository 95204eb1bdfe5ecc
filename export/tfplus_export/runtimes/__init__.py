"""What each runtime has: one table a distribution, as the runtime itself was asked."""
