#!/bin/sh
# Run once by the PostgreSQL image on an empty data directory: one role and one schema per service, nothing shared.
set -eu

for service in assignment qc monitor; do
    name=$(printf '%s' "$service" | tr '[:lower:]' '[:upper:]')
    password=$(printenv "${name}_PASSWORD")
    psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
        --set role="$service" --set password="$password" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
ALTER ROLE :"role" SET search_path = :"role";
CREATE SCHEMA :"role" AUTHORIZATION :"role";
SQL
done
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON DATABASE labelstream FROM PUBLIC;
GRANT CONNECT ON DATABASE labelstream TO assignment, qc, monitor;
SQL
