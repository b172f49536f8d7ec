# One image with all four commands: api, consumer, scheduler, sluice.
#
#   docker build --build-arg VERSION=$(git describe --always --dirty) -t sluice .
#   docker run --rm sluice                          # what there is
#   docker run --rm -e SLUICE_REDIS_URL=… sluice api
#
# It holds four static programs and the list of certificate authorities: no shell, no
# package manager, nothing to patch but ourselves. It writes nowhere, so run it with
# --read-only; it needs no capability and no user but the number below.
#
# The tag of the base names one release of Go. Whoever builds for a registry should pin
# its digest too (golang:…@sha256:…, from `docker buildx imagetools inspect`).

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
# The toolchain is the image's: none is downloaded.
ENV CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOTOOLCHAIN=local
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=development
ARG TARGETOS
ARG TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X sluice/internal/process.stamped=$VERSION" -o /out/ ./cmd/...

FROM scratch
# For rediss:// and for Postgres with sslmode=verify-full.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /bin/
COPY LICENSE /
ENV PATH=/bin
USER 65532:65532
EXPOSE 8080 8081
# Whether the process lives: some who look at this restart what is unhealthy, and a process
# that waits for its stores must not be. Compose asks for readiness instead.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["sluice", "health", "--live"]
STOPSIGNAL SIGTERM
CMD ["sluice", "--help"]
