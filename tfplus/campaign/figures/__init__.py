"""What a campaign says: figures, findings of the paper, and the pages that hold them."""
