"""What is done with one shard, whichever shell reads it: records in, commits out."""
