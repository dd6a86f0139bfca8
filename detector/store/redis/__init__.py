"""The store of the distributed shell: many shards in a Redis, a Valkey or a cluster of them."""
