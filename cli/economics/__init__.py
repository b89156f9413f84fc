"""What labels cost under each policy: one recorded crowd, replayed through the running services again and again."""
