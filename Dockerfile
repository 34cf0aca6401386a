# The command line, for schedules in ECS, Fargate or Kubernetes: docker build -t backstream . && docker run --rm backstream status
# The version of Python on which the whole suite runs.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY requirements/cli.txt requirements/cli.txt
COPY src src
RUN python -m venv /opt/backstream \
    && /opt/backstream/bin/pip install --no-cache-dir --require-hashes --requirement requirements/cli.txt \
    && /opt/backstream/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 backstream
COPY --from=build /opt/backstream /opt/backstream
ENV PATH=/opt/backstream/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/backstream
ENTRYPOINT ["backstream"]
CMD ["--help"]
