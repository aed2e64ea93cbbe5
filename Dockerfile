# The HTTP server, on a CPU:
#
#     docker build -t diffagent .
#     docker run -p 8000:8000 -v diffagent:/home/diffagent/.cache/diffagent \
#         -v "$PWD/keys.txt:/run/keys.txt:ro" diffagent
#
# keys.txt holds the keys that clients send, one a line. The volume keeps the weights (about 190 MB), which are
# fetched at the first start; without a network, copy a filled one (docs/install.md).
FROM python:3.11-slim AS build
# PIP_INDEX_URL or PIP_EXTRA_INDEX_URL: a mirror of yours, or the builds of torch for CPUs, which are smaller.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY data data
COPY agent agent
COPY training training
COPY serving serving
RUN python -m venv /opt/diffagent \
    && /opt/diffagent/bin/pip install ".[serve]"

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 diffagent \
    && mkdir -p /home/diffagent/.cache/diffagent \
    && chown -R diffagent:diffagent /home/diffagent
COPY --from=build /opt/diffagent /opt/diffagent
ENV PATH=/opt/diffagent/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DIFFAGENT_HOME=/home/diffagent/.cache/diffagent
USER diffagent
WORKDIR /home/diffagent
EXPOSE 8000
VOLUME ["/home/diffagent/.cache/diffagent"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=300s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["diffagent"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--api-keys", "/run/keys.txt"]
