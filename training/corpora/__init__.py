"""What is learnt from and measured on: the samples of a crawl, graded requests, held-out pairs."""
