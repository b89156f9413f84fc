# One image per service:    docker build --build-arg SERVICE=qc -t labelstream-qc .
# The operator's commands:  docker build --build-arg SERVICE=operator --target operator -t labelstream .
# The trainer:              docker build --build-arg SERVICE=trainer --target trainer -t labelstream-trainer .
# A service's image holds shared/ and that one service, so an import of another service fails at start.
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS packages
ARG SERVICE
RUN test -n "${SERVICE}" || { echo "give --build-arg SERVICE=prelabel|assignment|qc|monitor|trainer|operator" >&2; exit 1; }
COPY requirements/${SERVICE}.lock /requirements.lock
RUN python -m venv /opt/labelstream \
    && /opt/labelstream/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r /requirements.lock \
    && /opt/labelstream/bin/pip uninstall --yes --quiet setuptools pip

FROM python:${PYTHON} AS runtime
# Programs that run as somebody else (su, mount) are of no use here, nor is the base image's pip.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/ensurepip /usr/local/lib/python3.*/site-packages/* \
    && groupadd --gid 10001 labelstream \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin labelstream \
    && install -d -o 10001 -g 10001 /var/lib/labelstream/models /var/lib/labelstream/training
COPY --from=packages /opt/labelstream /opt/labelstream
ENV PATH=/opt/labelstream/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY LICENSE ./
COPY shared ./shared
COPY services/__init__.py ./services/__init__.py
USER 10001:10001

FROM runtime AS operator
COPY services ./services
COPY cli ./cli
ENTRYPOINT ["python", "-m", "cli"]
CMD ["--help"]

# prelabel's package, which feeds a model as it will be fed, with the packages that fit one.
FROM runtime AS trainer
COPY services/prelabel ./services/prelabel
CMD ["python", "-m", "services.prelabel.training"]

FROM runtime AS service
ARG SERVICE
ENV SERVICE=${SERVICE}
COPY services/${SERVICE} ./services/${SERVICE}
# exec: the service itself gets SIGTERM and drains.
CMD ["sh", "-c", "exec python -m services.${SERVICE}"]
