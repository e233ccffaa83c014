# The page and the endpoints of metavox.serve: docker build -t metavox .
# docker run -p 8000:8000 -v ./voices:/voices -e METAVOX_API_KEY=KEY metavox
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends ffmpeg libgomp1 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY conf conf
RUN pip install --no-cache-dir ".[serve]"
RUN useradd --create-home metavox && mkdir /voices && chown metavox /voices
USER metavox
VOLUME /voices
EXPOSE 8000
ENTRYPOINT ["python", "-m", "metavox.serve", "--host", "0.0.0.0", "--voices", "/voices"]
