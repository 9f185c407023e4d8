# One image for serve, work and migrate. Migrations travel inside the wheel.
# The base image is named by its digest; `docker buildx imagetools inspect python:3.11-slim-bookworm` shows a newer one.
ARG BASE=python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE} AS build
WORKDIR /src
# What builds stays in an environment of its own, and in this stage.
COPY locks locks
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r locks/build.txt \
    && python -m venv --without-pip /opt/holdfast \
    && /opt/build/bin/pip --python /opt/holdfast/bin/python install --no-cache-dir --require-hashes -r locks/run.txt
COPY pyproject.toml README.md ./
COPY app app
COPY migrations migrations
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && /opt/build/bin/pip --python /opt/holdfast/bin/python install --no-cache-dir --no-deps --no-index /tmp/wheel/*.whl

FROM ${BASE}
# Nothing here can install or build a package.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip \
    && rm -rf /usr/local/lib/python3.11/ensurepip \
    && useradd --system --uid 10001 --create-home --home-dir /data holdfast
COPY --from=build /opt/holdfast /opt/holdfast
ENV PATH=/opt/holdfast/bin:$PATH PYTHONUNBUFFERED=1
USER holdfast
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["holdfast"]
CMD ["serve", "--host", "0.0.0.0"]
