#!/bin/sh
# Run once by the PostgreSQL image on an empty data directory: one role and one schema per service, nothing shared.
# With <SERVICE>_OWNER_PASSWORD set too, the schema belongs to a role <service>_owner, which `labelstream migrate` uses,
# and the service's own role may only read and write rows.
set -eu

for service in assignment qc monitor; do
    name=$(printf '%s' "$service" | tr '[:lower:]' '[:upper:]')
    password=$(printenv "${name}_PASSWORD")
    owner_password=$(printenv "${name}_OWNER_PASSWORD" || true)
    owner=$service
    if [ -n "$owner_password" ]; then
        owner=${service}_owner
        psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
            --set owner="$owner" --set password="$owner_password" --set database="$POSTGRES_DB" <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'password';
GRANT CONNECT ON DATABASE :"database" TO :"owner";
SQL
    fi
    psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
        --set role="$service" --set owner="$owner" --set password="$password" --set database="$POSTGRES_DB" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
ALTER ROLE :"role" SET search_path = :"role";
CREATE SCHEMA :"role" AUTHORIZATION :"owner";
GRANT USAGE ON SCHEMA :"role" TO :"role";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA :"role"
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"role";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA :"role" GRANT USAGE, SELECT ON SEQUENCES TO :"role";
GRANT CONNECT ON DATABASE :"database" TO :"role";
SQL
done
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set database="$POSTGRES_DB" <<'SQL'
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
SQL
