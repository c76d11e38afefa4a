# The service, its runtime dependencies and the encoder that ships; docs/docker.md says how to build and run it.
#
#   CPU (the default)    docker build -t vouch .
#   CUDA                 docker build -t vouch:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#   pip's own index      docker build -t vouch --build-arg TORCH_INDEX= .

# Any glibc system with python3 (3.11 to 3.13), its venv module and useradd.
ARG BASE=python:3.12-slim-bookworm


# Of both pyproject.toml only the dependencies matter to the slow layers below, so that no other edit rebuilds them.
FROM ${BASE} AS requirements
WORKDIR /requirements
COPY pyproject.toml ./
COPY client ./client
RUN python3 -c 'import sys, tomllib; print(*(need for name in sys.argv[1:] for need in tomllib.load(open(name, "rb"))["project"]["dependencies"]), sep="\n")' \
    pyproject.toml client/pyproject.toml > all.txt \
 && grep '^torch' all.txt > torch.txt


FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
# pip works from a place of its own, so that it does not ship.
RUN python3 -m venv tools && python3 -m venv --without-pip /opt/vouch

# PyTorch first: it is the bulk and changes least. Its build is part of the layer, as `+cpu` meets `==`.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY --from=requirements /requirements/torch.txt ./
RUN tools/bin/pip --python /opt/vouch/bin/python install --no-compile \
    ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} -r torch.txt
COPY --from=requirements /requirements/all.txt ./
# Byte code that names its source's hash, not its time: copying between stages changes times, and a read-only file
# system would have every start compile again.
RUN tools/bin/pip --python /opt/vouch/bin/python install --no-compile -r all.txt \
 && /opt/vouch/bin/python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/vouch/lib

# The program into a tree of its own: a layer of kilobytes above the dependencies. The lab does not ship.
COPY pyproject.toml README.md LICENSE ./
COPY model ./model
COPY app ./app
COPY client ./client
RUN tools/bin/pip --python /opt/vouch/bin/python install --no-compile --no-deps --no-warn-script-location \
    --root /build/program ./client . \
 && /opt/vouch/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /build/program /build/program/opt/vouch/lib \
 && rm /build/program/opt/vouch/bin/vouch-train


FROM ${BASE}
LABEL org.opencontainers.image.title="Vouch" \
      org.opencontainers.image.description="Speaker verification that you run yourself" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 vouch \
 && useradd --uid 10001 --gid vouch --home-dir /data --no-create-home --shell /usr/sbin/nologin vouch \
 && install -d -o vouch -g vouch -m 0700 /data
COPY --from=build /opt/vouch /opt/vouch
COPY --from=build /build/program/opt/vouch /opt/vouch
COPY bundles/default /opt/vouch/bundles/default
ENV PATH=/opt/vouch/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VOUCH_HOST=0.0.0.0 \
    VOUCH_DATA_DIR=/data \
    VOUCH_BOOTSTRAP_KEY_FILE=/data/bootstrap.key \
    VOUCH_BUNDLE=/opt/vouch/bundles/default
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# http.client, since urllib would ask a proxy for 127.0.0.1 where one is set.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; connection = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('VOUCH_PORT') or 8000), timeout=4); connection.request('GET', '/readyz'); sys.exit(connection.getresponse().status != 200)"]
ENTRYPOINT ["vouch"]
CMD ["serve"]
