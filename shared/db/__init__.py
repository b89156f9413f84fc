"""PostgreSQL: the pool, migrations, and the tables that every service's schema has."""
