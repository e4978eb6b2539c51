# docker build -t pixel-m4 . && docker run --rm -p 127.0.0.1:7860:7860 --read-only --tmpfs /tmp pixel-m4
# The page is at http://localhost:7860 then. For other names of the host: … pixel-m4 --allow_hosts demo.example.org
FROM python:3.12-slim

WORKDIR /home/reader/pixel-m4
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
# The CPU build of torch: a third of the size.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -c constraints.txt '.[demo]' \
 && useradd --create-home --uid 1000 reader
USER reader
# The font is fetched now, so that the container needs no network.
RUN pixel-m4 fonts
ENV HF_HUB_OFFLINE=1
EXPOSE 7860
ENTRYPOINT ["pixel-m4", "demo", "--host", "0.0.0.0"]
