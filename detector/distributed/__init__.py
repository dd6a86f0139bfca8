"""The distributed shell: partitions of Kafka in, Redis as the store. Any number of workers share the work."""
