"""Google Cloud: buckets."""
