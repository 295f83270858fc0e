# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked && cp target/release/pulse-bridge /pulse-bridge && mkdir /data

# The built-in speech engine, fetched once while the image is made; `--build-arg ENGINE_MODEL=accurate` takes the larger model.
FROM debian:bookworm-slim AS engine
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libstdc++6 python3-pip && rm -rf /var/lib/apt/lists/*
COPY --from=build /pulse-bridge /usr/local/bin/pulse-bridge
ARG ENGINE_MODEL=fast
RUN PULSE_BRIDGE_DATA_DIR=/usr/share/pulse-bridge pulse-bridge engine install --model "$ENGINE_MODEL"

FROM gcr.io/distroless/cc-debian12
COPY --from=engine /usr/share/pulse-bridge /usr/share/pulse-bridge
COPY --from=build /pulse-bridge /usr/local/bin/pulse-bridge
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
VOLUME /data
ENV PULSE_BRIDGE_DATA_DIR=/data PULSE_BRIDGE_LISTEN=0.0.0.0:8080
EXPOSE 8080
# No shell in the image: the check is a command of the binary.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/usr/local/bin/pulse-bridge", "doctor", "--ready"]
ENTRYPOINT ["/usr/local/bin/pulse-bridge"]
CMD ["serve"]
