# The default moves with each patch of Go. A release pins it: its workflow asks the registry for the digest of the image of
# the Go version that builds the rest of the release, and its notes have it. To build the same image, give it here:
#   docker build --build-arg GO_IMAGE=golang:1.26.0-bookworm@sha256:... .
ARG GO_IMAGE=golang:1.26-bookworm
# The base of the image of the command line; a release pins it in the same way.
ARG CLI_BASE=busybox:1.37

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOMODCACHE=/cache/mod GOCACHE=/cache/build
RUN --mount=type=cache,target=/cache \
    ldflags="-s -w -X github.com/awsauth-guard/awsauth-guard/internal/version.version=${VERSION}" && \
    mkdir -p /out/etc/ssl/certs && \
    cp LICENSE /out/ && \
    GOOS= GOARCH= go run -C tools/cabundle . >/out/etc/ssl/certs/ca-certificates.crt && \
    go build -trimpath -buildvcs=false -ldflags "$ldflags" -o /out/awsauth-guard-webhook ./cmd/webhook && \
    go build -trimpath -buildvcs=false -ldflags "$ldflags" -o /out/kubectl-awsauth ./cmd/kubectl-awsauth && \
    find /out -exec touch -d @0 {} +

# kubectl-awsauth with a shell, for CI systems that run their scripts in the container: docker build --target cli
FROM ${CLI_BASE} AS cli
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="kubectl-awsauth" \
      org.opencontainers.image.description="kubectl plugin that checks and edits EKS's aws-auth ConfigMap, with a shell for CI systems" \
      org.opencontainers.image.source="https://github.com/awsauth-guard/awsauth-guard" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/kubectl-awsauth /usr/bin/
COPY --from=build /out/LICENSE /usr/share/doc/kubectl-awsauth/
COPY --from=build /out/etc/ /etc/
USER 65532:65532
CMD ["kubectl-awsauth", "--help"]

FROM scratch
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="awsauth-guard" \
      org.opencontainers.image.description="Admission webhook that refuses edits of EKS's aws-auth ConfigMap that lock people out" \
      org.opencontainers.image.source="https://github.com/awsauth-guard/awsauth-guard" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# One layer, whose files have no time of their own: the same sources give the same layer.
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/awsauth-guard-webhook"]
