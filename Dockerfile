# syntax=docker/dockerfile:1
# Maestro's image: docs/deploying.md says how to build and run it. The versions are those of requirements.lock.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY setup.py pyproject.toml requirements.lock README.md LICENSE ./
COPY maestro/ maestro/
# A directory cannot be checked against a hash, so the lock serves as constraints: the versions without their hashes.
RUN sed -E '/^ *--hash/d; s/ *\\$//' requirements.lock > constraints.txt \
    && python -m venv /opt/maestro \
    && /opt/maestro/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt '.[trace,postgresql]' \
    && /opt/maestro/bin/pip uninstall --yes pip setuptools \
    && /opt/maestro/bin/python -m compileall -q /opt/maestro/lib

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 maestro \
    && useradd --system --uid 10001 --gid maestro --home-dir /var/lib/maestro --shell /usr/sbin/nologin maestro \
    && install --directory --owner=maestro --group=maestro --mode=0700 /var/lib/maestro
COPY --from=build /opt/maestro /opt/maestro
COPY deploy/container/drain.py deploy/container/healthy.py /opt/maestro/

# A container serves others than itself, and serves nobody without asking for credentials.
ENV PATH=/opt/maestro/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MAESTRO_DATA_DIR=/var/lib/maestro/data \
    MAESTRO_HTTP__HOST=0.0.0.0 \
    MAESTRO_HTTP__PORT=6971 \
    MAESTRO_ACCESS__ENABLED=true

USER 10001:10001
WORKDIR /var/lib/maestro
VOLUME ["/var/lib/maestro"]
EXPOSE 6971
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "/opt/maestro/healthy.py"]
# As the first process of its container Maestro reaps what others leave behind.
ENTRYPOINT ["maestro"]
CMD ["serve"]
